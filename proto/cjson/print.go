package cjson

// Compact returns the object without a blank, {"a":1,"b":["x","y"]}: one line, since control
// characters inside strings are escaped.
func (o *Object) Compact() []byte { return o.print(false) }

// Layout returns the object as cJSON prints it: a line for each member, tabs before the key and the
// value, arrays on one line, no newline at the end.
func (o *Object) Layout() []byte { return o.print(true) }

// LayoutArray returns an array of the given raw JSON values in the layout of [Object.Layout].
// A text that is no JSON value is written as null.
func LayoutArray(elements [][]byte) []byte {
	w := printer{tabs: true}
	w.open('[')
	for i, e := range elements {
		if i > 0 {
			w.put(',', ' ')
		}
		w.value(sanitize(e))
	}
	w.close(false)
	return w.out
}

func (o *Object) print(tabs bool) []byte {
	size := 2
	for _, m := range o.members {
		size += len(m.key) + len(m.value) + 16
	}
	w := printer{out: make([]byte, 0, size), tabs: tabs}
	w.open('{')
	for i, m := range o.members {
		w.separate(i, true)
		w.put(Quote(nil, m.key)...)
		w.colon()
		w.value(m.value)
	}
	w.close(true)
	return w.out
}

// printer writes JSON again out of raw values.
type printer struct {
	out   []byte
	tabs  bool
	depth int // containers that are open
}

// put appends b. A buffer that has become too small is cleared, since it may hold secrets.
func (w *printer) put(b ...byte) {
	if len(w.out)+len(b) > cap(w.out) {
		bigger := append(make([]byte, 0, 2*cap(w.out)+len(b)), w.out...)
		clear(w.out)
		w.out = bigger
	}
	w.out = append(w.out, b...)
}

// value writes a raw value, which is valid JSON.
func (w *printer) value(raw []byte) {
	switch raw[0] {
	case '{', '[':
		w.container(raw)
	case '"':
		text := unescape(raw)
		quoted := QuoteBytes(make([]byte, 0, quotedLen(text)), text)
		w.put(quoted...)
		clear(quoted)
		if len(text) != len(raw)-2 { // something was escaped: a copy
			clear(text)
		}
	default:
		w.put(raw...)
	}
}

func (w *printer) container(raw []byte) {
	object := raw[0] == '{'
	w.open(raw[0])
	i := 0
	p := parser{data: raw}
	// A depth far below zero: what SetObject has put together may be deeper than what Parse accepts.
	_ = p.each(-len(raw), func(key, value []byte) error {
		w.separate(i, object)
		if object {
			w.value(key)
			w.colon()
		}
		w.value(value)
		i++
		return nil
	})
	w.close(object)
}

func (w *printer) open(bracket byte) {
	w.put(bracket)
	w.depth++
}

// close ends a container; cJSON breaks the line in an empty object too.
func (w *printer) close(object bool) {
	w.depth--
	if !object {
		w.put(']')
		return
	}
	w.line()
	w.put('}')
}

// separate writes what stands before member number i.
func (w *printer) separate(i int, object bool) {
	if i > 0 {
		w.put(',')
	}
	switch {
	case object:
		w.line()
	case i > 0 && w.tabs:
		w.put(' ')
	}
}

func (w *printer) colon() {
	w.put(':')
	if w.tabs {
		w.put('\t')
	}
}

func (w *printer) line() {
	if !w.tabs {
		return
	}
	w.put('\n')
	for range w.depth {
		w.put('\t')
	}
}
