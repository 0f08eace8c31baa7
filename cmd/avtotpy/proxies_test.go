package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

const (
	publicName    = "codes.example.org" // in the documented examples
	proxyPassword = "correct horse battery"
)

// A documentedProxy is an example of docs/reverse-proxies.md.
type documentedProxy struct {
	program string
	// fill makes the example work in a folder of the test: it returns the file to start with, and the program's
	// arguments.
	fill func(p *proxied, example string) (config string, arguments []string)
	// refusesNames is set when other host names do not get as far as the program.
	refusesNames bool
}

func documentedProxies() map[string]documentedProxy {
	return map[string]documentedProxy{
		"nginx":     {program: "nginx", fill: fillNginx},
		"haproxy":   {program: "haproxy", fill: fillHAProxy},
		"caddyfile": {program: "caddy", fill: fillCaddy, refusesNames: true},
	}
}

// A proxied is the real program after a real proxy.
type proxied struct {
	*served
	db            *pgtest.DB
	network       *relay // to the database
	proxy         documentedProxy
	folder        string
	plain, secure string // addresses of the proxy
	trust         *x509.CertPool
}

// TestTheDocumentedProxies starts the program after each proxy as docs/reverse-proxies.md prints it. It skips proxies
// that are not installed, unless AVTOTPY_LONG is set; make test-long installs them.
func TestTheDocumentedProxies(t *testing.T) {
	t.Parallel()
	for language, proxy := range documentedProxies() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			if program, err := exec.LookPath("/usr/sbin/" + proxy.program); err == nil { // not in everybody's PATH
				proxy.program = program
			} else if _, err := exec.LookPath(proxy.program); err != nil && os.Getenv("AVTOTPY_LONG") == "" {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			p := startProxied(t, language, proxy)
			p.keepsTheHost()
			p.letsPeopleIn()
			p.recordsTheClient()
			p.hasABucketForEachClient()
			p.refusesLargeBodies()
			p.answersOthersBesideSlowClients()
			p.saysWhatIsAway()
		})
	}
}

func startProxied(t *testing.T, language string, proxy documentedProxy) *proxied {
	t.Helper()
	db := pgtest.Migrated(t)
	server, err := pgx.ParseConfig(db.WebConn)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxied{
		db: db, proxy: proxy,
		network: startRelay(t, "unix", socketOf(server.Host, strconv.Itoa(int(server.Port)))),
	}
	p.served = startServer(t, db.WebConn+" host=127.0.0.1 port="+p.network.port(), keyring.Generate("k1"),
		"AVTOTPY_PUBLIC_URL=https://"+publicName, "AVTOTPY_TRUSTED_PROXIES=127.0.0.1,::1,x-forwarded-for")
	p.plain, p.secure = pgtest.FreeAddress(t), pgtest.FreeAddress(t)
	//nolint:usetesting // TempDir is closed to the user that the proxy runs as
	p.folder, err = os.MkdirTemp("", "avtotpy-proxy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.folder) })
	p.makeCertificate()

	document, err := os.ReadFile("../../docs/reverse-proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(document), "\n```"+language+"\n")
	example, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("docs/reverse-proxies.md has no example for %s", proxy.program)
	}
	config, arguments := proxy.fill(p, example+"\n")
	p.write(filepath.Base(proxy.program)+".conf", config)
	p.run(arguments)
	return p
}

// replace fills in what belongs to the test, and fails for what the example does not hold.
func (p *proxied) replace(example string, pairs ...string) string {
	p.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(example, pairs[i]) {
			p.t.Fatalf("the example for %s does not hold %q", p.proxy.program, pairs[i])
		}
		example = strings.ReplaceAll(example, pairs[i], pairs[i+1])
	}
	return example
}

func (p *proxied) upstream() string { return strings.TrimPrefix(p.url, "http://") }

func (p *proxied) file(name string) string { return filepath.Join(p.folder, name) }

func (p *proxied) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(p.file(name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func fillNginx(p *proxied, example string) (config string, arguments []string) {
	site := p.replace(example, "    listen [::]:80;\n", "", "    listen [::]:443 ssl http2;\n", "", "listen 80;",
		"listen "+p.plain+";",
		"listen 443 ", "listen "+p.secure+" ", "127.0.0.1:8080", p.upstream(),
		"/etc/ssl/avtotpy/fullchain.pem", p.file("both.pem"), "/etc/ssl/avtotpy/privkey.pem", p.file("both.pem"))
	var frame strings.Builder
	fmt.Fprintf(&frame, "daemon off; pid %s; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n", p.file("pid"))
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&frame, "%s_temp_path %s;\n", kind, p.file(kind))
	}
	return frame.String() + site + "}\n", []string{"-p", p.folder, "-e", "stderr", "-c", p.file("nginx.conf")}
}

func fillHAProxy(p *proxied, example string) (config string, arguments []string) {
	return "global\n    maxconn 500\n" +
			p.replace(example, "bind :80\n", "bind "+p.plain+"\n", "bind :443 ", "bind "+p.secure+" ",
				"127.0.0.1:8080", p.upstream(), "/etc/haproxy/avtotpy.pem", p.file("both.pem")),
		[]string{"-db", "-f", p.file("haproxy.conf")}
}

func fillCaddy(p *proxied, example string) (config string, arguments []string) {
	_, plain, _ := net.SplitHostPort(p.plain) // they are addresses
	_, secure, _ := net.SplitHostPort(p.secure)
	return p.replace(example, "{\n\tservers {", "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port "+plain+
		"\n\thttps_port "+secure+"\n\tservers {",
		publicName+" {\n", publicName+" {\n\ttls "+p.file("both.pem")+" "+p.file("both.pem")+"\n",
		"127.0.0.1:8080", p.upstream()), []string{"run", "--adapter", "caddyfile", "--config", p.file("caddy.conf")}
}

// makeCertificate writes a certificate for the name, and its key, as both.pem.
func (p *proxied) makeCertificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: publicName}, DNSNames: []string{publicName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
		IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.write("both.pem", string(certificate)+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	p.trust = x509.NewCertPool()
	p.trust.AppendCertsFromPEM(certificate)
}

// run starts the proxy, as a user without privileges, and waits until it listens.
func (p *proxied) run(arguments []string) {
	p.t.Helper()
	said := new(pgtest.Output)
	cmd := exec.CommandContext(context.Background(), p.proxy.program, arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.folder, said, said
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder}
	if os.Geteuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			p.t.Fatal(err)
		}
		uid, _ := strconv.Atoi(account.Uid) // digits
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(p.folder, uid, gid); err != nil {
			p.t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to end
		if p.t.Failed() {
			p.t.Logf("%s said\n%s", p.proxy.program, said)
		}
	})
	v := p.visitor("127.0.0.1")
	pgtest.Eventually(p.t, "the proxy passes requests on", func() error {
		answer, err := v.try(http.MethodGet, "https://"+publicName+"/login", nil)
		if err != nil {
			return err
		}
		return pgtest.Unless(answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusSeeOther, "%s",
			answer.Status)
	})
}

// A proxyVisitor is a browser at an address of its own.
type proxyVisitor struct {
	*proxied
	client    *http.Client
	transport *http.Transport
}

func (p *proxied) visitor(address string) *proxyVisitor {
	jar, _ := cookiejar.New(nil) // it has no error
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			return dialer.DialContext(ctx, network,
				map[string]string{publicName + ":80": p.plain, publicName + ":443": p.secure}[to])
		},
		TLSClientConfig: &tls.Config{RootCAs: p.trust, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &proxyVisitor{p, &http.Client{
		Jar: jar, Transport: transport, Timeout: pgtest.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, transport}
}

// A proxyAnswer is an answer that was read.
type proxyAnswer struct {
	*http.Response
	text string
}

// try sends what a browser would; headers are pairs, and the name Host stands for the host.
func (v *proxyVisitor) try(method, to string, body []byte, headers ...string) (proxyAnswer, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, to, bytes.NewReader(body))
	if err != nil {
		return proxyAnswer{}, err
	}
	request.Header.Set("Origin", "https://"+publicName)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := v.client.Do(request)
	if err != nil {
		return proxyAnswer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return proxyAnswer{response, string(text)}, err
}

func (v *proxyVisitor) must(method, path string, body []byte, headers ...string) proxyAnswer {
	v.t.Helper()
	answer, err := v.try(method, "https://"+publicName+path, body, headers...)
	if err != nil {
		v.t.Fatalf("%s: %s %s: %v", v.proxy.program, method, path, err)
	}
	return answer
}

func (v *proxyVisitor) send(path string, fields url.Values) proxyAnswer {
	v.t.Helper()
	return v.must(http.MethodPost, path, []byte(fields.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// keepsTheHost is about redirects, and about requests for other names.
func (p *proxied) keepsTheHost() {
	p.t.Helper()
	v := p.visitor("127.0.0.1")
	answer, err := v.try(http.MethodGet, "http://"+publicName+"/accounts/new?link=a%2Fb", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(p.secure) // it is an address
	to := strings.Replace(answer.Header.Get("Location"), ":"+port, "", 1)
	if answer.StatusCode != http.StatusPermanentRedirect || to != "https://"+publicName+"/accounts/new?link=a%2Fb" {
		p.t.Errorf("without TLS: %s to %s", answer.Status, to)
	}
	answer = v.must(http.MethodGet, "/", nil)
	location, err := answer.Location()
	if err != nil || answer.StatusCode != http.StatusSeeOther || location.Host != publicName ||
		location.Scheme != "https" {
		p.t.Errorf("a page for users: %s to %v, %v", answer.Status, location, err)
	}
	if answer.ProtoMajor != 2 {
		p.t.Errorf("got %s, want HTTP/2", answer.Proto)
	}
	for _, name := range []string{"Strict-Transport-Security", "Content-Security-Policy", "Cache-Control"} {
		if n := len(answer.Header.Values(name)); n != 1 {
			p.t.Errorf("%d headers %s, want 1", n, name)
		}
	}
	want := http.StatusMisdirectedRequest
	if p.proxy.refusesNames {
		want = http.StatusOK
	}
	other := v.must(http.MethodGet, "/login", nil, "Host", "other.example")
	if other.StatusCode != want || strings.Contains(other.text, "<form") {
		p.t.Errorf("another host name: %s, want %d\n%s", other.Status, want, other.text)
	}
	forged := v.must(http.MethodGet, "/", nil, "X-Forwarded-Host", "other.example", "X-Forwarded-Proto", "http",
		"Forwarded", "host=other.example;proto=http")
	if strings.Contains(forged.Header.Get("Location"), "other.example") ||
		forged.Header.Get("Strict-Transport-Security") == "" {
		p.t.Errorf("forged headers change where one is: %v", forged.Header)
	}
}

// letsPeopleIn fills in the forms, as a browser without scripts does.
func (p *proxied) letsPeopleIn() {
	p.t.Helper()
	first := p.visitor("127.0.0.2").send("/setup",
		url.Values{"token": {p.setup}, "name": {"alice"}, "password": {proxyPassword}})
	v := p.visitor("127.0.0.3")
	second := v.send("/login", url.Values{"name": {"alice"}, "password": {proxyPassword}})
	for what, answer := range map[string]proxyAnswer{"set-up": first, "login": second} {
		if answer.StatusCode != http.StatusSeeOther || len(answer.Cookies()) == 0 {
			p.t.Fatalf("%s: %s\n%s", what, answer.Status, answer.text)
		}
		cookie := answer.Cookies()[0]
		if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" ||
			cookie.Domain != "" {
			p.t.Errorf("%s: the cookie is %v", what, cookie)
		}
	}
	if answer := v.must(http.MethodGet, "/", nil); answer.StatusCode != http.StatusOK {
		p.t.Errorf("the list: %s", answer.Status)
	}
	got := pgtest.Value[string](p.t, p.db.SuperConn,
		"SELECT string_agg(host(address), ' ' ORDER BY address) FROM avtotpy.sessions")
	if got != "127.0.0.2 127.0.0.3" {
		p.t.Errorf("the sessions are from %s", got)
	}
}

// forgeries are headers with which a client claims to be at another address.
func forgeries(address string) map[string][]string {
	return map[string][]string{
		"X-Forwarded-For":                  {"X-Forwarded-For", address},
		"two X-Forwarded-For":              {"X-Forwarded-For", address, "X-Forwarded-For", address},
		"X-Forwarded-For with the proxy's": {"X-Forwarded-For", address + ", 127.0.0.1"},
		"Forwarded":                        {"Forwarded", "for=" + address},
		"Forwarded with an open quote":     {"Forwarded", "for=" + address + `;by="`},
		"X-Real-IP":                        {"X-Real-IP", address, "True-Client-IP", address, "X-Client-IP", address},
		"a header that Connection names":   {"X-Forwarded-For", address, "Connection", "X-Forwarded-For"},
		"a header with an underline":       {"X_Forwarded_For", address},
	}
}

// recordsTheClient logs in with forged headers.
func (p *proxied) recordsTheClient() {
	p.t.Helper()
	v := p.visitor("127.0.0.6")
	v.transport.ForceAttemptHTTP2 = false // HTTP/2 has no Connection
	for name, headers := range forgeries("198.51.100.1") {
		v.client.Jar = nil
		headers = append(headers, "User-Agent", name, "Content-Type", "application/json")
		answer := v.must(http.MethodPost, "/api/v1/session", []byte(`{"name":"alice","password":"`+proxyPassword+`"}`),
			headers...)
		if answer.StatusCode != http.StatusOK {
			p.t.Errorf("%s: %s", name, answer.Status)
			continue
		}
		if got := pgtest.Value[string](p.t, p.db.SuperConn,
			"SELECT host(address) FROM avtotpy.sessions WHERE agent = $1", name); got != "127.0.0.6" {
			p.t.Errorf("with a forged %s the session is from %s", name, got)
		}
	}
}

// hasABucketForEachClient uses up what one client may try: neither does that keep another one out, nor do forged
// headers help. Attempts come back while the machine is busy, so what counts is that a wait comes at all.
func (p *proxied) hasABucketForEachClient() {
	p.t.Helper()
	first, second := p.visitor("127.0.0.4"), p.visitor("127.0.0.5")
	guess := func(v *proxyVisitor, headers ...string) int {
		// A name with a NUL in it has no password, so that it takes no time to check.
		headers = append(headers, "Content-Type", "application/json")
		return v.must(http.MethodPost, "/api/v1/session", []byte(`{"name":"x\u0000","password":"guess"}`),
			headers...).StatusCode
	}
	throttled := false
	const often = 100
	for i := 0; i < often && !throttled; i++ {
		address := fmt.Sprintf("198.51.100.%d", i)
		throttled = guess(first, "X-Forwarded-For", address, "Forwarded", "for="+address, "X-Real-IP",
			address) == http.StatusTooManyRequests
	}
	if !throttled {
		p.t.Errorf("%d attempts from as many forged addresses, and no wait", often)
	}
	for range 2 {
		if got := guess(second, "X-Forwarded-For", "127.0.0.4", "Forwarded",
			"for=127.0.0.4"); got != http.StatusUnauthorized {
			p.t.Errorf("another client that claims to be the first: %d", got)
		}
	}
}

func (p *proxied) refusesLargeBodies() {
	p.t.Helper()
	v := p.visitor("127.0.0.1")
	const limitOfTheProgram, limitOfTheProxy = 32 << 10, 1 << 20
	refused := func(size int) {
		p.t.Helper()
		answer := v.must(http.MethodPost, "/api/v1/session", bytes.Repeat([]byte(" "), size), "Content-Type",
			"application/json")
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			p.t.Errorf("a body of %d bytes: %s", size, answer.Status)
		}
	}
	refused(limitOfTheProgram + 1)
	refused(limitOfTheProxy + 1)
	if err := p.process.Signal(syscall.SIGSTOP); err != nil { // so that the proxy is the first to answer
		p.t.Fatal(err)
	}
	defer func() { _ = p.process.Signal(syscall.SIGCONT) }()
	refused(limitOfTheProxy + 1)
}

// answersOthersBesideSlowClients leaves requests open at each place where one can be slow.
func (p *proxied) answersOthersBesideSlowClients() {
	p.t.Helper()
	const ofEach = 20
	head := "POST /api/v1/session HTTP/1.1\r\nHost: " + publicName + "\r\n"
	for _, begun := range []string{
		"", head, head + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", head +
			"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		for range ofEach {
			conn, err := tls.Dial("tcp", p.secure, &tls.Config{
				RootCAs: p.trust, ServerName: publicName,
				MinVersion: tls.VersionTLS12,
			})
			if err != nil {
				p.t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, begun); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if answer := p.visitor("127.0.0.1").must(http.MethodGet, "/login", nil); answer.StatusCode != http.StatusOK {
		p.t.Errorf("beside slow clients: %s", answer.Status)
	}
}

// saysWhatIsAway stops the database, and then the program.
func (p *proxied) saysWhatIsAway() {
	p.t.Helper()
	v := p.visitor("127.0.0.1")
	unready := func(path, why string) func() error {
		return func() error {
			answer, err := v.try(http.MethodGet, "https://"+publicName+path, nil)
			if err != nil {
				return err
			}
			if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
				return errors.New("503 without Retry-After:\n" + answer.text)
			}
			return pgtest.Unless(answer.StatusCode == http.StatusServiceUnavailable &&
				strings.Contains(answer.text, why), "%s\n%s", answer.Status, answer.text)
		}
	}
	p.network.refuse()
	pgtest.Eventually(p.t, "a page says that the database is away", unready("/login", "database"))
	pgtest.Eventually(p.t, "the API says that the database is away", unready("/api/v1/session", "database"))
	if err := p.process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	pgtest.Eventually(p.t, "the proxy says that the program is away", unready("/login", "starting"))
}
