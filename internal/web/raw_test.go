package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/web"
)

// TestRequestsThatNoBrowserSends is about requests that a proxy and a server may read in two ways. None gets a page
// under another name, leads elsewhere, or is answered twice.
func TestRequestsThatNoBrowserSends(t *testing.T) {
	t.Parallel()
	const name = "otp.example.com"
	s := newSite(t, func(s *web.Server) { s.PublicURL = &url.URL{Scheme: "https", Host: name} })
	post := func(headers, body string) string {
		return "POST /api/v1/session HTTP/1.1\r\nHost: " + name +
			"\r\nContent-Type: application/json\r\nSec-Fetch-Site: same-origin\r\n" +
			headers + "\r\n" + body
	}
	get := func(target, headers string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: " + name + "\r\n" + headers + "\r\n"
	}
	const login = `{"name":"x\u0000","password":"guess"}` // a name that has no password, so that nothing is checked
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(login), login)
	for _, c := range []struct {
		what, request string
		want          int
	}{
		{"our name", get("/login", ""), http.StatusSeeOther},
		{"our name in capitals", "GET /login HTTP/1.1\r\nHost: OTP.example.COM\r\n\r\n", http.StatusSeeOther},
		{"our name with its port", "GET /login HTTP/1.1\r\nHost: " + name + ":443\r\n\r\n", http.StatusSeeOther},
		{
			"our name with another port", "GET /login HTTP/1.1\r\nHost: " + name + ":80\r\n\r\n",
			http.StatusMisdirectedRequest,
		},
		{"our name with a dot", "GET /login HTTP/1.1\r\nHost: " + name + ".\r\n\r\n", http.StatusMisdirectedRequest},
		{
			"two names in one", "GET /login HTTP/1.1\r\nHost: " + name + ",evil.example\r\n\r\n",
			http.StatusMisdirectedRequest,
		},
		{"a user in the name", "GET /login HTTP/1.1\r\nHost: a@" + name + "\r\n\r\n", http.StatusBadRequest},
		{"two equal names", get("/login", "Host: "+name+"\r\n"), http.StatusBadRequest},
		{"two names", get("/login", "Host: evil.example\r\n"), http.StatusBadRequest},
		{"no name", "GET /login HTTP/1.1\r\n\r\n", http.StatusBadRequest},
		{"an empty name", "GET /login HTTP/1.1\r\nHost:\r\n\r\n", http.StatusMisdirectedRequest},
		{"HTTP/1.0 without a name", "GET /login HTTP/1.0\r\n\r\n", http.StatusMisdirectedRequest},
		{"HTTP/1.0 with our name", "GET /login HTTP/1.0\r\nHost: " + name + "\r\n\r\n", http.StatusSeeOther},
		{"HTTP/0.9", "GET /login\r\n\r\n", http.StatusBadRequest},
		{"HTTP/2 as text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusBadRequest},
		{
			"an upgrade to HTTP/2", get("/login",
				"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
			http.StatusSeeOther,
		},
		{"an address with our name", get("http://"+name+"/login", ""), http.StatusSeeOther},
		{"an address elsewhere", get("http://evil.example/login", ""), http.StatusMisdirectedRequest},
		{
			"an address at a user of elsewhere", get("http://"+name+"@evil.example/login", ""),
			http.StatusMisdirectedRequest,
		},
		{"CONNECT", "CONNECT " + name + ":443 HTTP/1.1\r\nHost: " + name + "\r\n\r\n", http.StatusNotFound},
		// net/http's, and empty
		{"OPTIONS of everything", "OPTIONS * HTTP/1.1\r\nHost: " + name + "\r\n\r\n", http.StatusOK},
		{
			"OPTIONS", "OPTIONS /api/v1/session HTTP/1.1\r\nHost: " + name + "\r\nOrigin: https://evil.example\r\n\r\n",
			http.StatusNotFound,
		},
		{"TRACE", "TRACE /login HTTP/1.1\r\nHost: " + name + "\r\nCookie: a=b\r\n\r\n", http.StatusNotFound},
		{"HEAD", "HEAD /login HTTP/1.1\r\nHost: " + name + "\r\n\r\n", http.StatusSeeOther},
		{"HEAD of what only POST does", "HEAD /logout HTTP/1.1\r\nHost: " + name + "\r\n\r\n", http.StatusNotFound},
		{"another method in a header", get("/login", "X-HTTP-Method-Override: DELETE\r\n"), http.StatusSeeOther},
		{"a method in small letters", "get /login HTTP/1.1\r\nHost: " + name + "\r\n\r\n", http.StatusNotFound},
		{"forged names", get("/", "X-Forwarded-Host: evil.example\r\nForwarded: "+
			"host=evil.example\r\nX-Original-URL: /settings\r\n"), http.StatusSeeOther},
		{"dots", get("/static/../login", ""), http.StatusTemporaryRedirect},
		{"dots in percents", get("/static/%2e%2e/login", ""), http.StatusNotFound},
		{"a dotted slash in percents", get("/static/..%2flogin", ""), http.StatusNotFound},
		{"two slashes", get("//evil.example", ""), http.StatusTemporaryRedirect},
		{"two slashes and dots", get("//evil.example/%2e%2e", ""), http.StatusTemporaryRedirect},
		{"two slashes after dots", get("/..//evil.example", ""), http.StatusTemporaryRedirect},
		{"a backslash", get(`/\evil.example/../`, ""), http.StatusTemporaryRedirect},
		{"a backslash in percents", get("/%5cevil.example/../", ""), http.StatusTemporaryRedirect},
		{"a line in percents", get("/%0d%0aSet-Cookie:x=y/../", ""), http.StatusTemporaryRedirect},
		{"a NUL in percents", get("/login%00", ""), http.StatusNotFound},
		{"a NUL", get("/login\x00", ""), http.StatusBadRequest},
		{"a broken percent", get("/%zz", ""), http.StatusBadRequest},
		{"another encoding of a dot", get("/%c0%ae%c0%ae/", ""), http.StatusNotFound},
		{"a NUL in a header", get("/login", "X: a\x00b\r\n"), http.StatusBadRequest},
		{"a line in a header", get("/login", "X: a\rEvil: b\r\n"), http.StatusBadRequest},
		{"a space in a header's name", get("/login", "X y: a\r\n"), http.StatusBadRequest},
		{"a long address", get("/login?"+strings.Repeat("a", 5<<10), ""), http.StatusRequestURITooLong},
		{
			"a body that GET does not take", get("/login", "Content-Length: 5\r\n") + "hello",
			http.StatusUnsupportedMediaType,
		},
		{"chunks", post("Transfer-Encoding: chunked\r\n", chunk+"0\r\n\r\n"), http.StatusUnauthorized},
		{"chunks with a trailer", post("Transfer-Encoding: chunked\r\nTrailer: Host\r\n", chunk+
			"0\r\nHost: evil.example\r\nCookie: a=b\r\n\r\n"), http.StatusUnauthorized},
		{
			"chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nG"),
			http.StatusBadRequest,
		},
		{"chunks in HTTP/1.0", strings.Replace(post("Transfer-Encoding: chunked\r\n", chunk+"0\r\n\r\n"), "HTTP/1.1",
			"HTTP/1.0", 1), http.StatusBadRequest},
		{
			"two encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"),
			http.StatusNotImplemented,
		},
		{"a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), http.StatusBadRequest},
		{"an encoding that is none", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), http.StatusNotImplemented},
		{"a size that is none", post("Transfer-Encoding: chunked\r\n", "0x1b\r\n0\r\n\r\n"), http.StatusBadRequest},
		{"two lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "{}  "), http.StatusBadRequest},
		{"a list of lengths", post("Content-Length: 2, 2\r\n", "{}"), http.StatusBadRequest},
		{"a length with a sign", post("Content-Length: +2\r\n", "{}"), http.StatusBadRequest},
		{
			"a large body that waits", post("Expect: 100-continue\r\nContent-Length: 100000\r\n", ""),
			http.StatusRequestEntityTooLarge,
		},
		{"two types", post("Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}"), http.StatusUnprocessableEntity},
	} {
		status, location, rest := s.raw(c.request)
		if status != c.want {
			t.Errorf("%s: %d, want %d", c.what, status, c.want)
		}
		if location != "" && (!strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") ||
			strings.HasPrefix(location, `/\`)) {
			t.Errorf("%s: leads to %s", c.what, location)
		}
		if strings.Contains(rest, "HTTP/1.") {
			t.Errorf("%s: is answered twice:\n%s", c.what, rest)
		}
	}
}

// raw sends a request as it is, and returns what comes after the answer, too.
func (s *site) raw(request string) (status int, location, rest string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("%.60q: %v", request, err)
	}
	_, _ = io.Copy(io.Discard, answer.Body) // a broken body shows in what follows
	_ = answer.Body.Close()
	_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it was dialled so; it may have been closed by now
	after, _ := io.ReadAll(reader)       // a connection that was reset has nothing more
	return answer.StatusCode, answer.Header.Get("Location"), string(after)
}
