package cli

import (
	"os"
	"unsafe"
)

// Hide overwrites a value of the command line where the system shows it to everybody, in the process list. The
// value must have been copied before: it reads as asterisks afterwards. A value that is not part of os.Args is
// left alone.
func Hide(value string) {
	if value == "" {
		return
	}
	start := uintptr(unsafe.Pointer(unsafe.StringData(value)))
	for _, arg := range os.Args {
		first := uintptr(unsafe.Pointer(unsafe.StringData(arg)))
		if start < first || start+uintptr(len(value)) > first+uintptr(len(arg)) {
			continue
		}
		// The runtime makes os.Args out of the process's own argv, without a copy.
		shown := unsafe.Slice(unsafe.StringData(value), len(value))
		for i := range shown {
			shown[i] = '*'
		}
		return
	}
}
