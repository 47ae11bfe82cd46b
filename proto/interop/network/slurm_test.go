package network

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSlurm: 64 concurrent tasks of a job, on a cluster of one node, get tokens through a forwarded socket and from a
// bearer file.
func TestSlurm(t *testing.T) {
	t.Parallel()
	near, far, variables := sites(t)
	far.write("etc/hosts", "127.0.0.1 localhost far\n192.0.2.2 far.example\n")
	config := "SLURM_CONF=" + far.slurm()
	remote := filepath.Join(far.dir, "oidc.sock")
	forward := near.command(append(sshd(near, far, ""), "-R", remote+":"+near.socket(variables), "root@192.0.2.2", "echo ready; exec cat")...)
	end, err := forward.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	near.watch(forward, "^ready")
	tokens := far.run(config, "OIDC_SOCK="+remote, "srun", "--ntasks=64", "--overcommit", far.bin+"/oidc-token", "demo")
	if lines := strings.Fields(tokens); len(lines) != 64 || strings.Count(tokens, ".") != 2*64 {
		t.Errorf("%d tokens", len(lines))
	}
	file := filepath.Join(far.dir, "bt") // visible on all machines
	near.run(append(slices.Clone(variables), "oidc-add", "--bearer-file="+file, "demo")...)
	tokens = far.run(config, "BEARER_TOKEN_FILE="+file, "srun", "--ntasks=64", "--overcommit", "sh", "-c", `cat "$BEARER_TOKEN_FILE"`)
	if lines := strings.Fields(tokens); len(lines) != 64 || lines[0] != near.run(append(slices.Clone(variables), "oidc-token", "demo")...) {
		t.Errorf("%d tokens in the file", len(lines))
	}
}

// slurm starts munge, Slurm's controller and one node on the machine, and returns Slurm's configuration.
func (m *machine) slurm() string {
	m.t.Helper()
	key, socket := m.write("munge/key", strings.Repeat("no secret ", 100)), m.dir+"/munge/socket"
	if err := os.Chown(key, 0, 0); err != nil {
		m.t.Fatal(err)
	}
	m.run("munged", "--force", "--key-file="+key, "--socket="+socket, "--pid-file="+m.dir+"/munge/pid",
		"--log-file="+m.dir+"/munge/log", "--seed-file="+m.dir+"/munge/seed")
	m.t.Cleanup(func() { m.run("munged", "--stop", "--socket="+socket, "--pid-file="+m.dir+"/munge/pid") })
	config := m.write("slurm.conf", strings.Join([]string{
		"ClusterName=test", "SlurmctldHost=far.example", "SlurmUser=root", "SlurmdUser=root",
		"AuthType=auth/munge", "AuthInfo=socket=" + socket, "CredType=cred/munge",
		"StateSaveLocation=" + m.dir + "/state", "SlurmdSpoolDir=" + m.dir + "/spool",
		"SlurmctldPidFile=" + m.dir + "/slurmctld.pid", "SlurmdPidFile=" + m.dir + "/slurmd.pid",
		"ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none", "ReturnToService=2",
		"SlurmdParameters=config_overrides", "NodeName=far NodeAddr=192.0.2.2 NodeHostname=far.example CPUs=64 State=UNKNOWN",
		"PartitionName=all Nodes=far Default=YES State=UP", "",
	}, "\n"))
	m.start("Running as primary controller", "slurmctld", "-D", "-v", "-f", config)
	m.start("slurmd started|slurmd version", "slurmd", "-D", "-v", "-f", config)
	return config
}
