package localpg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// childAttributes let the kernel shut the server down, in order, when this process is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
}

// commandLine returns the name of a process's program and its arguments, separated by spaces; "" when there is
// no such process. ps is missing from small images.
func commandLine(_ context.Context, pid int) (program, arguments string) {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it has ended, or hides
	if len(line) == 0 {
		return "", ""
	}
	words := strings.Split(string(line), "\x00")
	return filepath.Base(words[0]), strings.Join(words[1:], " ")
}
