package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

const quit = syscall.SIGQUIT // the postmaster's signal for an immediate shutdown

// StoppedError says that the server ended although it was not asked to.
type StoppedError struct {
	Status error  // how the process ended; nil for exit status 0
	Log    string // the end of the server's log
	Path   string // of the whole log
}

func (e *StoppedError) Error() string {
	status := "exit status 0"
	if e.Status != nil {
		status = e.Status.Error()
	}
	return fmt.Sprintf("PostgreSQL ended (%s); the end of its log %s:\n%s", status, e.Path, indent(e.Log))
}

func (e *StoppedError) Unwrap() error { return e.Status }

// command returns a program that runs as the account. It is in a process group of its own, so that Ctrl-C in a
// terminal reaches us only. On Linux it is interrupted when the thread that started it ends, so the goroutine
// that starts it must be locked to its thread until the program has ended.
func (a account) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, arguments...) //nolint:gosec // a program of PostgreSQL
	cmd.Dir = "/"                                          // ours may be closed to the account
	cmd.SysProcAttr = childAttributes()
	if a.other() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	// Of our environment, which holds secrets, and of libpq's variables, only what a program needs to run.
	// LC_ALL keeps macOS from starting threads in the postmaster, which that refuses, and the log in English.
	cmd.Env = []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// launch starts the server and watches it until it ends.
func (s *Server) launch(ctx context.Context, bin binaries, settings []string) error {
	arguments := []string{"-D", s.folder.join("postgres")}
	for _, setting := range append(s.settings(), settings...) {
		arguments = append(arguments, "-c", setting)
	}
	s.command = s.account.command(context.WithoutCancel(ctx), bin.path("postgres"), arguments...)
	s.command.Stdout, s.command.Stderr = s.output, s.output
	s.command.WaitDelay = quickStop // a session that outlives a killed postmaster keeps the log open
	s.done = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // see command
		defer runtime.UnlockOSThread()
		err := s.command.Start()
		started <- err
		if err == nil {
			s.watch()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	return nil
}

func (s *Server) settings() []string {
	return []string{
		"listen_addresses=",
		"port=" + port,
		"unix_socket_directories=" + s.sockets,
		"unix_socket_permissions=0700",
		"max_connections=50",
		"shared_buffers=64MB",
		"password_encryption=scram-sha-256",
		"logging_collector=off",
		"log_destination=stderr",
		"log_timezone=UTC",
		"timezone=UTC",
		"lc_messages=C",
	}
}

func (s *Server) watch() {
	err := s.command.Wait()
	if !s.stopping.Load() {
		s.err = &StoppedError{Status: err, Log: s.output.tail(), Path: s.output.path}
	}
	if err := s.giveBack(); err != nil {
		s.log.Warn("after the end of PostgreSQL", "error", err)
	}
	close(s.done)
}
