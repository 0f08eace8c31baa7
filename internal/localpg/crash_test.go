package localpg

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/avtotpy/avtotpy/internal/owned"
)

func TestAKilledServerIsReportedAndRecovers(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	s := start(t, o)
	execute(t, s.MigratorConn(), `CREATE SCHEMA kept`, `CREATE TABLE kept.t AS SELECT 42 AS n`)
	if err := s.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if _, ok := errors.AsType[*StoppedError](s.Err()); !ok {
		t.Errorf("Err: got %v, want a *StoppedError", s.Err())
	}
	if _, err := os.Stat(filepath.Join(o.DataDir, "postgres", "postmaster.pid")); err != nil {
		t.Errorf("a killed server leaves its postmaster.pid: %v", err)
	}
	again := start(t, o)
	if got := ask[int](t, again.MigratorConn(), `SELECT n FROM kept.t`); got != 42 {
		t.Errorf("row written before the crash: got %d, want 42", got)
	}
}

// The number that a crash leaves in postmaster.pid and in the socket's lock file may be another program's by now.
func TestAnOldPostmasterPIDOfAnotherProgramIsNoObstacle(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	s := start(t, o)
	if err := s.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	other := s.account.command(t.Context(), "sleep", "600") // PostgreSQL does not mind programs of other users
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	for _, name := range []string{"postgres/postmaster.pid", "run/.s.PGSQL." + port + ".lock"} {
		path := filepath.Join(o.DataDir, name)
		_, rest, _ := strings.Cut(read(t, path), "\n")
		write(t, path, strconv.Itoa(other.Process.Pid)+"\n"+rest)
	}
	start(t, o)
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the other program was stopped: %v", err)
	}
}

// helper starts this test binary with a server on dir, and returns it with the server's process id.
func helper(t *testing.T, dir string) (*exec.Cmd, int) {
	t.Helper()
	needServer(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return cmd, pid
}

func TestAKilledParentLeavesNoServer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the next start ends the server")
	}
	o := options(newDir(t))
	parent, pid := helper(t, o.DataDir)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, pid)
	start(t, o)
}

func TestAStartRightAfterTheParentWasKilledSucceeds(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	parent, pid := helper(t, o.DataDir)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	start(t, o)
	awaitEnd(t, pid)
}

func TestAServerLeftBehindIsStopped(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	stop(t, start(t, o))
	s := launchLeftBehind(t, o)
	start(t, o)
	<-s.Done()
	if text := s.output.tail(); !strings.Contains(text, "received fast shutdown request") {
		t.Errorf("log of the server left behind: got %q, want a fast shutdown", text)
	}
}

// launchLeftBehind runs a server on the folder without holding its lock, as if its instance had been killed.
func launchLeftBehind(t *testing.T, o Options) *Server {
	t.Helper()
	home, err := openFolder(o.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := home.cluster()
	if err != nil {
		t.Fatal(err)
	}
	account, err := accountFor(found, nil)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := choose(search(t.Context(), account, ""), found, "")
	if err != nil {
		t.Fatal(err)
	}
	if home.dir, err = owned.Ours().Open(home.path); err != nil {
		t.Fatal(err)
	}
	s := &Server{folder: home, account: account, log: discard()}
	if err := s.prepare(t.Context(), o, found, bin); err != nil {
		t.Fatal(err)
	}
	if err := s.clear(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if err := s.launch(t.Context(), bin, o.Settings); err != nil {
		t.Fatal(err)
	}
	if err := s.setUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
