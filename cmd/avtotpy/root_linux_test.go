package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// programBuilt is the program as it is released, without cgo, in the long form of the tests: there every thread can be
// reached. In the short form it is the test's own binary.
func programBuilt(t *testing.T) (path string, released bool) {
	t.Helper()
	if os.Getenv("AVTOTPY_LONG") == "" {
		return testBinary(t), false
	}
	path = filepath.Join(t.TempDir(), "avtotpy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path, true
}

// testBinary is the program as a part of the tests, which are built with cgo where there is a compiler for it.
func testBinary(t *testing.T) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// runningProgram starts the program, waits until it serves and stops it at the end.
func runningProgram(t *testing.T, path string, environ ...string) (pid int, said *pgtest.Output) {
	t.Helper()
	address := pgtest.FreeAddress(t)
	said = new(pgtest.Output)
	cmd := exec.CommandContext(context.Background(), path) // the cleanup stops it in order
	cmd.Args[0] = "avtotpy"                                // what TestMain goes by
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "PROTECT=1", "AVTOTPY_POSTGRES_BIN=" + pgtest.Bin(),
		"AVTOTPY_LISTEN_ADDR=" + address, "AVTOTPY_LOG_FORMAT=text",
	}, environ...)
	cmd.Stdout, cmd.Stderr = said, said

	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("stopped: %v\n%s", err, said)
		}
	})
	awaitReady(t, address, said)
	return cmd.Process.Pid, said
}

// proc is what the kernel says about a process.
func proc(t *testing.T, pid int, file string) string {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// demandPowerless demands of every thread of a process that it is the user's alone, has no capability and can get none.
func demandPowerless(t *testing.T, pid int, user osuser.User, allThreads bool) {
	t.Helper()
	want := []string{
		fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d", user.UID),
		fmt.Sprintf("Gid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d", user.GID),
		fmt.Sprintf("Groups:\t%d ", user.GID), "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapAmb:\t0000000000000000",
	}
	if allThreads {
		want = append(want, "NoNewPrivs:\t1", "CapInh:\t0000000000000000")
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, thread.Name()))
		if err != nil {
			continue // it has ended
		}
		for _, line := range want {
			if !strings.Contains(string(content), "\n"+line+"\n") {
				t.Errorf("process %d, thread %s: there is no %q in\n%s", pid, thread.Name(), line, content)
			}
		}
	}
}

// demandNoDumps demands that neither a crash nor a debugger shows the memory of a process.
func demandNoDumps(t *testing.T, pid int, hidden bool) {
	t.Helper()
	if !regexp.MustCompile(`Max core file size +0 +0 `).MatchString(proc(t, pid, "limits")) {
		t.Errorf("process %d may write core dumps", pid)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; hidden && owner != 0 { //nolint:forcetypeassert // on Linux
		t.Errorf("process %d: its environment is open to user %d, want to root alone (PR_SET_DUMPABLE)", pid, owner)
	}
}

// asUser runs a shell's command as a user, and returns whether it succeeded.
func asUser(t *testing.T, user osuser.User, command string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user.UID, Gid: user.GID}}
	return cmd.Run() == nil
}

// TestRootIsGivenUpToTheOwnerOfTheData: what serves is the user that PostgreSQL runs as, and cannot read the secrets
// that root read for it. The long form (AVTOTPY_LONG=1) tries the program as it is released.
func TestRootIsGivenUpToTheOwnerOfTheData(t *testing.T) {
	t.Parallel()
	needRoot(t)
	folder, err := dataDir(t)
	if err != nil {
		t.Fatal(err)
	}
	path, released := programBuilt(t)
	pid, said := runningProgram(t, path, "AVTOTPY_DATA_DIR="+folder, "HOME=/root")
	postmaster, err := strconv.Atoi(strings.Split(readFile(t, filepath.Join(folder, "postgres", "postmaster.pid")),
		"\n")[0])
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on Linux
	user := osuser.User{UID: owner.Uid, GID: owner.Gid}
	if user.UID == 0 {
		t.Fatal("the cluster is root's")
	}
	demandPowerless(t, pid, user, released)
	demandPowerless(t, postmaster, user, released)
	demandNoDumps(t, pid, true)
	demandNoDumps(t, postmaster, false)
	for _, secret := range []string{
		filepath.Join(folder, "secrets", "master-key"), filepath.Join(folder, "secrets", "superuser-password"),
		fmt.Sprintf("/proc/%d/environ", pid), fmt.Sprintf("/proc/%d/mem", pid), fmt.Sprintf("/proc/%d/maps", pid),
	} {
		if asUser(t, user, "head -c 1 "+secret+" >/dev/null") {
			t.Errorf("a program of the same user can read %s", secret)
		}
	}
	if text := said.String(); strings.Index(text, "gave up root") > strings.Index(text, "msg=serving") ||
		!strings.Contains(text, "gave up root") {
		t.Errorf("got\n%s\nwant that root is given up before it serves", text)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// besideNobody returns a user of little means, and a folder of root's.
func besideNobody(t *testing.T, mode os.FileMode) (osuser.User, string) {
	t.Helper()
	needRoot(t)
	nobody, err := osuser.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	folder, err := dataDir(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, mode); err != nil {
		t.Fatal(err)
	}
	return nobody, folder
}

// TestAFolderOfAnotherUserIsOnlyTouchedAsThatUser: everything in it is that user's work, root's files are out of reach.
func TestAFolderOfAnotherUserIsOnlyTouchedAsThatUser(t *testing.T) {
	t.Parallel()
	nobody, folder := besideNobody(t, 0o700)
	if err := os.Chown(folder, int(nobody.UID), int(nobody.GID)); err != nil {
		t.Fatal(err)
	}
	pid, _ := runningProgram(t, testBinary(t), "AVTOTPY_DATA_DIR="+folder)
	demandPowerless(t, pid, nobody, false)
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != nobody.UID { //nolint:forcetypeassert // on Linux
			t.Errorf("%s is not that user's", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRootBecomesTheUserThatWasAskedFor with a database of one's own, and hands the secrets over that only root can
// read: through the replacement of the process, and not in its environment.
func TestRootBecomesTheUserThatWasAskedFor(t *testing.T) {
	t.Parallel()
	needRoot(t)
	db := pgtest.Blank(t)
	user := ownerOfSocket(t, db)
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	environ := commandOn(t, db, nil).Env
	for i, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasSuffix(name, "_STR") || strings.HasSuffix(name, "_PASSWORD") || name == "AVTOTPY_MASTER_KEY" {
			environ[i] = name + "_FILE=" + file(name, value)
		}
	}
	pid, said := runningProgram(t, testBinary(t), append(environ, "AVTOTPY_USER="+user.String())...)
	demandPowerless(t, pid, user, true) // exec keeps what one thread has given up
	demandNoDumps(t, pid, true)
	if text := proc(t, pid, "cmdline"); !strings.Contains(text, "serve") {
		t.Errorf("the process was not replaced: %q\n%s", text, said)
	}
	if text := proc(t, pid, "environ"); strings.Contains(text, "MIGRATOR_CONNECTION_STR") ||
		strings.Contains(text, "k1:") || strings.Contains(text, "password=") {
		t.Errorf("the environment is\n%s", strings.ReplaceAll(text, "\x00", "\n"))
	}
}

// ownerOfSocket is the user that can reach the tests' server.
func ownerOfSocket(t *testing.T, db *pgtest.DB) osuser.User {
	t.Helper()
	host := regexp.MustCompile(`host=(\S+)`).FindStringSubmatch(db.WebConn)
	info, err := os.Stat(host[1])
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on Linux
	return osuser.User{UID: owner.Uid, GID: owner.Gid}
}

func TestAServerThatStaysRootSaysSo(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, loudly := range []bool{true, false} {
		var said bytes.Buffer
		if err := becomeAsked(config.Config{Mode: config.Run}, nil, loudly,
			slog.New(slog.NewTextHandler(&said, nil))); err != nil {
			t.Fatal(err)
		}
		if text := said.String(); strings.Contains(text, "level=WARN") != loudly ||
			strings.Contains(text, "AVTOTPY_USER") != loudly {
			t.Errorf("loudly %t: got %q", loudly, text)
		}
	}
}

// TestTheProgramIsNotToBeSetUserID: the user who starts it would choose the settings with which somebody else's rights
// are used.
func TestTheProgramIsNotToBeSetUserID(t *testing.T) {
	t.Parallel()
	nobody, folder := besideNobody(t, 0o755)
	path := filepath.Join(folder, "avtotpy")
	if out, err := exec.CommandContext(t.Context(), "cp", testBinary(t), path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(path, os.ModeSetuid|0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "key", "generate")
	cmd.Args[0] = "avtotpy" // what TestMain goes by
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody.UID, Gid: nobody.GID}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "chmod ug-s") || cmd.ProcessState.ExitCode() != exitSettings {
		t.Errorf("got %v, %s, want exit code %d and the command", err, out, exitSettings)
	}
}

// TestRootWithoutCapabilitiesIsExplained, as a container may have it.
func TestRootWithoutCapabilitiesIsExplained(t *testing.T) {
	t.Parallel()
	needRoot(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip(err)
	}
	for _, missing := range []string{"setuid", "setgid", "chown"} {
		cmd := exec.CommandContext(t.Context(), setpriv, "--bounding-set=-"+missing, "--", "bash", "-c",
			`exec -a avtotpy "$0"`, testBinary(t))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "AVTOTPY_DATA_DIR=" + filepath.Join(t.TempDir(), "data")}
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != exitSettings ||
			!strings.Contains(string(out), "CAP_"+strings.ToUpper(missing)) {
			t.Errorf("without %s: got %v, %s", missing, err, out)
		}
	}
}

// TestMetricsWorkInAProcessThatIsHidden: the collector reads /proc/self, of which the kernel makes root the owner.
func TestMetricsWorkInAProcessThatIsHidden(t *testing.T) {
	t.Parallel()
	needRoot(t)
	db := pgtest.Blank(t)
	address := pgtest.FreeAddress(t)
	environ := append(commandOn(t, db, nil).Env, "AVTOTPY_HEALTH_ADDR="+address, "AVTOTPY_USER="+
		ownerOfSocket(t, db).String())
	runningProgram(t, testBinary(t), environ...)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"process_open_fds ", "process_resident_memory_bytes ", "process_max_fds "} {
		if !strings.Contains(body.String(), "\n"+name) {
			t.Errorf("there is no %s in the metrics", name)
		}
	}
}
