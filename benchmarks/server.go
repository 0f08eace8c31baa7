package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/localpg"
)

// A server is a PostgreSQL of the benchmark's own, with the settings that it comes with:
// fsync and synchronous_commit on, 128 MB of shared buffers, passwords by SCRAM.
type server struct {
	bin, dir string
	port     int
	process  *exec.Cmd
	exited   chan error
	admin    *pgx.Conn
	made     atomic.Int64
}

const (
	adminRole = "postgres"
	ownerRole = "benchmark" // what every tool connects as: no superuser, and the owner of its database
	password  = "benchmark" //nolint:gosec // of a server that lives for minutes and listens on the loopback
)

// startServer makes a cluster in a temporary folder and starts it.
func startServer(ctx context.Context, settings []string) (*server, error) {
	bin, err := localpg.FindBin(os.Getenv("PGTEST_BIN"))
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, exited: make(chan error, 1)}
	if s.dir, err = os.MkdirTemp("", "avtotpy-benchmark-"); err != nil {
		return nil, err
	}
	if err = s.start(ctx, settings); err == nil {
		err = s.setUp(ctx)
	}
	if err != nil {
		s.stop()
	}
	return s, err
}

func (s *server) start(ctx context.Context, settings []string) error {
	credential, err := s.account()
	if err != nil {
		return err
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o644); err != nil { //nolint:gosec // the server's user reads it
		return err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), //nolint:gosec // the server's own program
		"-D", s.data(), "-U", adminRole, "--auth=scram-sha-256", "--pwfile="+secret, "--encoding=UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = credential, s.dir
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	if s.port, err = freePort(ctx); err != nil {
		return err
	}
	arguments := []string{"-D", s.data()}
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "port=" +
		strconv.Itoa(s.port)}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own
	program := filepath.Join(s.bin, "postgres")
	s.process = exec.Command(program, arguments...) //nolint:gosec,noctx // stop ends it in order
	s.process.SysProcAttr, s.process.Dir, s.process.Stdout, s.process.Stderr = credential, s.dir, log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	go func() { s.exited <- s.process.Wait() }()
	return nil
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }
func (s *server) log() string  { return filepath.Join(s.dir, "server.log") }

// account is whom the server runs as: PostgreSQL refuses root.
func (s *server) account() (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who stop it in order
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		owned := os.Chown(s.dir, int(uid), int(gid)) //nolint:gosec // 32 bits
		if err := errors.Join(uidErr, gidErr, owned); err != nil {
			return nil, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attributes, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody; run " +
		"the benchmark as another user")
}

func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, nil
}

func (s *server) setUp(ctx context.Context) (err error) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if s.admin, err = pgx.Connect(ctx, s.connString(adminRole, "postgres", s.address())); err == nil {
			break
		}
		select {
		case exit := <-s.exited:
			s.exited <- exit
			log, _ := os.ReadFile(s.log())
			return fmt.Errorf("the server does not start: %w\n%s", errors.Join(exit), log)
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
	return s.exec(ctx, "CREATE ROLE "+ownerRole+" LOGIN CREATEROLE PASSWORD '"+password+"'")
}

func (s *server) stop() {
	if s.admin != nil {
		_ = s.admin.Close(context.Background()) // it is going away
	}
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Signal(syscall.SIGINT) // a fast shutdown
		select {
		case <-s.exited:
		case <-time.After(20 * time.Second):
			_ = s.process.Process.Signal(syscall.SIGQUIT)
			<-s.exited
		}
	}
	_ = os.RemoveAll(s.dir) // a temporary folder
}

func (s *server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// connString is a URL, which all tools take. TLS would cost all of them the same.
func (s *server) connString(role, database, address string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password), Host: address, Path: database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *server) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// A database is a fresh one for one turn of one tool.
type database struct {
	server *server
	name   string
	web    string // a role that does not exist yet, for the service

	masterKey string
}

func (s *server) newDatabase(ctx context.Context) (*database, error) {
	id := s.made.Add(1)
	db := &database{server: s, name: fmt.Sprintf("bench_%d", id), web: fmt.Sprintf("web_%d", id)}
	return db, s.exec(ctx, "CREATE DATABASE "+db.name+" OWNER "+ownerRole+" TEMPLATE template0")
}

func (d *database) drop(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	// What is left over goes with the server.
	_ = d.server.exec(ctx, "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)", "DROP ROLE IF EXISTS "+d.web)
}

// conn is the owner's connection string, directly or through a relay.
func (d *database) conn(through *relay) string {
	address := d.server.address()
	if through != nil {
		address = through.address()
	}
	return d.server.connString(ownerRole, d.name, address)
}

// version is such as "PostgreSQL 15.18".
func (s *server) version(ctx context.Context) string {
	program := filepath.Join(s.bin, "postgres")
	output, err := exec.CommandContext(ctx, program, "--version").Output() //nolint:gosec // the server's own
	if err != nil {
		return err.Error()
	}
	_, version, _ := strings.Cut(string(bytes.TrimSpace(output)), "(PostgreSQL) ")
	return "PostgreSQL " + version
}

// on runs statements in a database, as the cluster's superuser.
func (s *server) on(ctx context.Context, db *database, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.connString(adminRole, db.name, s.address()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
