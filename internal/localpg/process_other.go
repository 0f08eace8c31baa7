//go:build unix && !linux

package localpg

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// childAttributes cannot tie the server's life to ours here: the next Start stops one that was left.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// commandLine returns the name of a process's program and its arguments, separated by spaces; "" when there is
// no such process.
func commandLine(ctx context.Context, pid int) (program, arguments string) {
	ps := exec.CommandContext(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)) //nolint:gosec // a number
	line, err := ps.Output()
	if err != nil {
		return "", ""
	}
	program, arguments, _ = strings.Cut(strings.TrimSpace(string(line)), " ")
	return filepath.Base(program), arguments
}
