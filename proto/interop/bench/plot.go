package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"oidc-agent/fakeidp/iam"
)

// drawPlot measures a cached call on the socket, for several numbers of loaded accounts and of concurrent clients, and
// draws both with gnuplot.
func drawPlot(b *bench, svg string) {
	dir := b.tempDir()
	p := b.newProvider(0, iam.Settings{})
	users := [2]*user{b.startAgent(us), b.startAgent(peer)}
	table := func(file string, steps []int, measure func(u *user, step int) outcome) {
		var text strings.Builder
		for _, step := range steps {
			fmt.Fprint(&text, step)
			var took values
			for range 3 {
				for i, u := range users {
					took[i] = append(took[i], measure(u, step).latencies...)
				}
			}
			for i := range users {
				fmt.Fprintf(&text, " %g %g", quantile(took[i], 0.5), quantile(took[i], 0.99))
			}
			fmt.Fprintln(&text)
		}
		fmt.Fprint(os.Stderr, file, ": ours p50 p99, C's p50 p99, in ms\n", text.String())
		check(os.WriteFile(filepath.Join(dir, file), []byte(text.String()), 0o600))
	}
	loaded := map[*user]int{}
	table("accounts", []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, func(u *user, step int) outcome {
		u.loadMany(p, loaded[u], step)
		loaded[u] = step
		return load{ask: u.question("account0", 0), clients: 1, times: 1000}.run()
	})
	table("clients", []int{1, 2, 5, 10, 20, 50, 100, 200, 500}, func(u *user, step int) outcome {
		return load{ask: u.question("account0", 0), clients: step, times: max(10, 2000/step)}.run()
	})
	cmd := exec.Command("gnuplot")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(drawing)
	out, err := cmd.Output()
	check(err)
	check(os.WriteFile(svg, out, 0o644))
}

const drawing = `set terminal svg size 900,380 font "sans-serif,12" background "white"
set multiplot layout 1,2 title "a cached token, latency on the agent's socket"
set logscale xy
set grid
set ylabel "ms"
set yrange [0.02:2000]
set format x "%.0f"
set key top left
do for [file in "accounts clients"] {
	set xlabel file eq "accounts" ? "accounts loaded, 1 client" : "clients at once, 1,000 accounts"
	plot file using 1:2 with linespoints lw 2 lc rgb "#0060ad" pt 7 ps 0.5 title "ours, p50", \
		file using 1:3 with linespoints lw 1 dt 2 lc rgb "#0060ad" pt 7 ps 0.3 title "ours, p99", \
		file using 1:4 with linespoints lw 2 lc rgb "#dd6600" pt 5 ps 0.5 title "C 4.2.6, p50", \
		file using 1:5 with linespoints lw 1 dt 2 lc rgb "#dd6600" pt 5 ps 0.3 title "C 4.2.6, p99"
}
`
