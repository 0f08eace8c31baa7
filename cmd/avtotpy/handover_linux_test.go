package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// inNamespace starts the program in RUN as process 1 of a namespace, as in a
// container: the kernel gives that one only signals that it has asked for.
func inNamespace(t *testing.T, db *pgtest.DB, address string) (*exec.Cmd, *pgtest.Output) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said := new(pgtest.Output)
	cmd := exec.CommandContext(context.Background(), own)
	cmd.Args[0] = "avtotpy" // what TestMain goes by
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "AVTOTPY_MASTER_KEY=" + keyring.Generate("k1"), "AVTOTPY_LISTEN_ADDR=" + address,
		"AVTOTPY_LOG_FORMAT=text",
		"POSTGRES_MIGRATOR_CONNECTION_STR=" + db.MigratorConn, "POSTGRES_CONNECTION_STR=" + db.WebConn,
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER=" + db.WebRole, "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=" +
			db.WebPassword,
	}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skip("this user may not make a process namespace")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it has ended, unless the test failed
	return cmd, said
}

func TestTheHandOverWorksAsProcessOne(t *testing.T) {
	t.Parallel()
	address := pgtest.FreeAddress(t)
	cmd, said := inNamespace(t, pgtest.Blank(t), address)
	awaitReady(t, address, said)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environ), "POSTGRES_MIGRATOR_CONNECTION_STR") ||
		strings.Contains(string(environ), "_PASSWORD=") {
		t.Errorf("the environment still holds %q", environ)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, want the exit code 0:\n%s", err, said)
	}
	if text := said.String(); !strings.Contains(text, "pid=1\n") || !strings.Contains(text, "msg=stopping") {
		t.Errorf("got\n%s\nwant pid=1 and an orderly stop", text)
	}
}

func awaitReady(t *testing.T, address string, said *pgtest.Output) {
	t.Helper()
	pgtest.Eventually(t, "it serves", func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("%w:\n%s", err, said)
		}
		_ = response.Body.Close()
		return pgtest.Unless(response.StatusCode == http.StatusOK, "/readyz answers %s:\n%s", response.Status, said)
	})
}
