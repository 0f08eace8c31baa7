package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// The files that docs/high-availability.md prints, with values in place of what begins with $.
const (
	patroniFile = `scope: avtotpy
name: $name
restapi:
  listen: 127.0.0.1:$rest
  connect_address: 127.0.0.1:$rest
etcd3:
  hosts: 127.0.0.1:$etcd
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 10
    retry_timeout: 10
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
  initdb:
    - encoding: UTF8
    - locale: C.UTF-8
    - data-checksums
postgresql:
  listen: 127.0.0.1:$port
  connect_address: 127.0.0.1:$port
  data_dir: $folder/$name/data
  bin_dir: $bin
  pgpass: $folder/$name/pgpass
  authentication:
    superuser:
      username: postgres
      password: super-secret
    replication:
      username: replicator
      password: replication-secret
  pg_hba:
    - local all all scram-sha-256
    - host replication replicator 127.0.0.1/32 scram-sha-256
    - host all all 127.0.0.1/32 scram-sha-256
  parameters:
    unix_socket_directories: $folder/$name
    wal_log_hints: "on"
`
	haproxyFile = `defaults
  mode tcp
  timeout connect 2s
  timeout client 30m
  timeout server 30m
  timeout check 2s
listen primary
  bind 127.0.0.1:$listen
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
`
)

// A member is a server with its Patroni.
type member struct {
	name, port, rest string
	config           string
	patroni          *exec.Cmd
}

// A patroni is a cluster of three, its store in etcd, and a HAProxy.
type patroni struct {
	t       *testing.T
	folder  string
	as      *syscall.SysProcAttr
	etcd    *exec.Cmd
	members []*member
	output  *pgtest.Output
	proxy   string // port
}

func (p *patroni) run(program string, arguments ...string) *exec.Cmd {
	p.t.Helper()
	cmd := exec.CommandContext(context.Background(), program, arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.folder, p.output, p.output, p.as
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to end
	})
	return cmd
}

func portOf(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(pgtest.FreeAddress(t)) // it is one
	return port
}

func startPatroni(t *testing.T) *patroni {
	t.Helper()
	for _, program := range []string{"patroni", "etcd", "haproxy"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	//nolint:usetesting // TempDir is closed to the user that the servers run as
	folder, err := os.MkdirTemp("", "avtotpy-patroni-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p := &patroni{t: t, folder: folder, output: new(pgtest.Output), proxy: portOf(t)}
	t.Cleanup(func() {
		if t.Failed() {
			_ = os.WriteFile("/tmp/patroni-test.log", []byte(p.output.String()), 0o600)
		}
	})
	if os.Geteuid() == 0 { // the server refuses root
		account, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(account.Uid) // digits
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(folder, uid, gid); err != nil {
			t.Fatal(err)
		}
		p.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // where Debian, which has Patroni, puts them
	bin := cmp.Or(pgtest.Bin(), append([]string{""}, bins...)[len(bins)])
	etcd, peer := portOf(t), portOf(t)
	client, peers := "http://127.0.0.1:"+etcd, "http://127.0.0.1:"+peer
	p.etcd = p.run("etcd", "--name", "e", "--data-dir", filepath.Join(folder, "etcd"), "--logger", "zap",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "e="+peers)
	var proxy strings.Builder
	proxy.WriteString(strings.ReplaceAll(haproxyFile, "$listen", p.proxy))
	for i := range 3 {
		m := &member{name: fmt.Sprintf("n%d", i+1), port: portOf(t), rest: portOf(t)}
		m.config = filepath.Join(folder, m.name+".yml")
		content := strings.NewReplacer("$name", m.name, "$rest", m.rest, "$etcd", etcd, "$port", m.port, "$folder",
			folder, "$bin", bin).Replace(patroniFile)
		if err := os.WriteFile(m.config, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&proxy, "  server %s 127.0.0.1:%s check port %s\n", m.name, m.port, m.rest)
		p.members = append(p.members, m)
	}
	config := filepath.Join(folder, "haproxy.cfg")
	if err := os.WriteFile(config, []byte(proxy.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stopServers)
	for _, m := range p.members {
		if err := exec.Command("install", "-d", "-m", "700", filepath.Join(folder, m.name)).Run(); err != nil {
			t.Fatal(err)
		}
		if p.as != nil {
			if err := os.Chown(filepath.Join(folder, m.name), int(p.as.Credential.Uid),
				int(p.as.Credential.Gid)); err != nil {
				t.Fatal(err)
			}
		}
		m.patroni = p.run("patroni", m.config)
		if m.name == "n1" { // the first one becomes the primary
			p.awaitPrimary("")
		}
	}
	p.awaitFollowers()
	p.run("haproxy", "-db", "-f", config)
	return p
}

// stopServers stops what Patronis that were killed left behind.
func (p *patroni) stopServers() {
	for _, m := range p.members {
		_ = m.patroni.Process.Signal(syscall.SIGCONT)
		if pid := m.postmaster(p); pid > 0 {
			_ = syscall.Kill(-pid, syscall.SIGCONT)
			_ = syscall.Kill(pid, syscall.SIGCONT)
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
	}
}

func (m *member) postmaster(p *patroni) int {
	content, err := os.ReadFile(filepath.Join(p.folder, m.name, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, _ := strconv.Atoi(line) // digits
	return pid
}

func (m *member) super(database string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%s user=postgres password=super-secret dbname=%s sslmode=disable "+
		"connect_timeout=1", m.port, database)
}

// isPrimary asks the server itself.
func (m *member) isPrimary() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, m.super("postgres"))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	var standby bool
	return conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby) == nil && !standby
}

// awaitPrimary waits for a primary other than one, and returns it and when it was seen.
func (p *patroni) awaitPrimary(other string) (*member, time.Time) {
	p.t.Helper()
	found := make(chan *member, len(p.members))
	var over atomic.Bool
	for _, m := range p.members {
		if m.name == other || m.patroni == nil && m.name != "n1" {
			continue
		}
		go func() {
			for !over.Load() {
				if m.isPrimary() {
					found <- m
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	defer over.Store(true)
	select {
	case m := <-found:
		return m, time.Now()
	case <-time.After(pgtest.Patience):
		p.t.Fatal("no member becomes the primary")
	}
	return nil, time.Time{}
}

// awaitFollowers waits until all but one follow it.
func (p *patroni) awaitFollowers() {
	p.t.Helper()
	primary, _ := p.awaitPrimary("")
	pgtest.Eventually(p.t, "all members follow the primary", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, primary.super("postgres"))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		var n int
		err = conn.QueryRow(ctx, `
			SELECT count(*) FROM pg_stat_replication
			WHERE state = 'streaming' AND application_name ~ '^n[123]$'
				AND replay_lsn >= pg_current_wal_lsn() - 1000000`).Scan(&n)
		return errors.Join(err, pgtest.Unless(n == len(p.members)-1, "%d follow", n))
	})
}

func (p *patroni) member(t *testing.T) *member {
	t.Helper()
	m, _ := p.awaitPrimary("")
	return m
}

// TestPatroniMovesTheDatabase is a long form only: it takes some minutes, and needs Debian's patroni, etcd-server and
// haproxy. Its figures are in docs/high-availability.md.
func TestPatroniMovesTheDatabase(t *testing.T) {
	if os.Getenv("AVTOTPY_LONG") == "" {
		t.Skip("AVTOTPY_LONG is not set")
	}
	p := startPatroni(t)
	first := p.member(t)
	pgtest.Exec(t, first.super("postgres"), "CREATE ROLE avtotpy_migrator LOGIN CREATEROLE PASSWORD 'm'",
		"CREATE DATABASE avtotpy",
		"GRANT CREATE ON DATABASE avtotpy TO avtotpy_migrator")
	var ports, hosts []string
	for _, m := range p.members {
		ports, hosts = append(ports, m.port), append(hosts, "127.0.0.1")
	}
	list := fmt.Sprintf("host=%s port=%s dbname=avtotpy sslmode=disable", strings.Join(hosts, ","),
		strings.Join(ports, ","))
	bundle, err := schema.Load(schema.Files())
	if err != nil {
		t.Fatal(err)
	}
	migrator := migrate.Migrator{
		Bundle: bundle, Schema: schema.Name, Program: "AVTotpy", Version: "test",
		Role: privilege.Role{Name: "avtotpy_web", Password: "w", Privileges: schema.Privileges()},
	}
	if _, err := migrator.Up(t.Context(), list+" user=avtotpy_migrator password=m"); err != nil {
		t.Fatal(err)
	}
	web := " user=avtotpy_web password=w"
	listed := startServing(t, list+web)
	proxied := listed.beside(t, "host=127.0.0.1 port="+p.proxy+" dbname=avtotpy sslmode=disable"+web)
	loads := map[string]*load{"list of hosts": listed.load(2), "haproxy": proxied.load(2)}

	p.observe(loads, "switchover", func(was *member) string {
		p.post(was, "/switchover", `{"leader": "`+was.name+`"}`)
		return was.name
	}, func(*member) {})
	p.observe(loads, "kill -9 of the primary's server", func(was *member) string {
		p.signal(was, syscall.SIGKILL)
		return ""
	}, func(*member) {})
	p.observe(loads, "kill -9 of the primary's Patroni and server", func(was *member) string {
		_ = was.patroni.Process.Signal(syscall.SIGKILL)
		p.signal(was, syscall.SIGKILL)
		return was.name
	}, func(was *member) { was.patroni = p.run("patroni", was.config) })
	p.observe(loads, "SIGSTOP of the primary's Patroni and server", func(was *member) string {
		_ = was.patroni.Process.Signal(syscall.SIGSTOP)
		p.signal(was, syscall.SIGSTOP)
		return was.name
	}, func(was *member) {
		p.signal(was, syscall.SIGCONT)
		_ = was.patroni.Process.Signal(syscall.SIGCONT)
	})
	p.observe(loads, "etcd stands still until the primary is demoted", func(*member) string {
		_ = p.etcd.Process.Signal(syscall.SIGSTOP)
		for _, l := range loads {
			l.awaitRefused()
		}
		_ = p.etcd.Process.Signal(syscall.SIGCONT)
		return ""
	}, func(*member) {})
	for _, l := range loads {
		l.report(1000)
	}
}

// observe causes an event, and logs how long it took until another member, or the same again, was the primary, and from
// then until a change was saved.
func (p *patroni) observe(loads map[string]*load, what string, cause func(was *member) (not string),
	fix func(was *member),
) {
	t := p.t
	t.Helper()
	for _, l := range loads {
		l.awaitWrite(time.Now())
	}
	was := p.member(t)
	lines := map[string]int{}
	for name, l := range loads {
		lines[name] = strings.Count(l.said.String(), "\n")
	}
	began := time.Now()
	not := cause(was)
	now, promoted := p.awaitPrimary(not)
	t.Logf("%s: %s was the primary, %s is it after %s", what, was.name, now.name, since(began))
	for name, l := range loads {
		at := l.awaitWrite(promoted)
		l.awaitReady()
		t.Logf("%s: %s: a change is saved %s after the promotion; %d lines of log", what, name, at,
			strings.Count(l.said.String(), "\n")-lines[name])
	}
	fix(was)
	p.awaitFollowers()
	for name, l := range loads {
		l.mu.Lock()
		t.Logf("%s: %s: counts so far %v, wrong %d", what, name, l.counts, len(l.wrong))
		l.mu.Unlock()
	}
}

func (p *patroni) signal(m *member, signal syscall.Signal) {
	pid := m.postmaster(p)
	for _, child := range childrenOf(pid) {
		if signal != syscall.SIGKILL { // they end with the postmaster
			_ = syscall.Kill(child, signal)
		}
	}
	_ = syscall.Kill(pid, signal)
}

func childrenOf(pid int) (children []int) {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // none when it is gone
	for field := range strings.FieldsSeq(string(content)) {
		child, _ := strconv.Atoi(field) // digits
		children = append(children, child)
	}
	return children
}

func (p *patroni) post(m *member, path, body string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://127.0.0.1:"+m.rest+path,
		bytes.NewReader([]byte(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s", path, answer.Status)
	}
}

// TestTheDocumentsPrintThePatroniThatIsTried by the long form.
func TestTheDocumentsPrintThePatroniThatIsTried(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/high-availability.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"patroni.yml": patroniFile, "haproxy.cfg": haproxyFile} {
		if !documents(string(document), file) {
			t.Errorf("docs/high-availability.md prints another %s", name)
		}
	}
}

// documents reports whether a document has each line of a file, in order, with values of its own for what begins with
// $.
func documents(document, file string) bool {
	for line := range strings.Lines(file) {
		before, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "$")
		at := strings.Index(document, before)
		if at < 0 {
			return false
		}
		document = document[at+len(before):]
	}
	return true
}
