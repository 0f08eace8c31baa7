package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
)

// errUnhealthy is the answer of a program that is not well, or none.
var errUnhealthy = errors.New("not healthy")

func (p program) bindHealthcheck(flags *flag.FlagSet) action {
	live := flags.Bool("live", false, "ask whether it lives, not whether it is ready")
	flags.Bool("ready", true, "ask whether it is ready; this is the default")
	return func(ctx context.Context, _ []string) error { return p.healthcheck(ctx, *live) }
}

// healthcheck asks the program that runs in the same environment, for
// exec probes, where there is no other client. It needs no settings but the address.
func (p program) healthcheck(ctx context.Context, live bool) error {
	path := "/readyz"
	if live {
		path = "/livez"
	}
	address, err := p.healthAddr()
	if err != nil {
		return &settingsError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request) // not by a proxy of the environment
	if err != nil {
		return fmt.Errorf("%w: %w", errUnhealthy, err)
	}
	defer func() { _ = response.Body.Close() }()
	const most = 1 << 16
	if _, err := io.Copy(p.stdout, io.LimitReader(response.Body, most)); err != nil {
		return fmt.Errorf("%w: %w", errUnhealthy, err)
	}
	if response.StatusCode != http.StatusOK {
		return &alreadyPrintedError{errUnhealthy}
	}
	return nil
}

// healthAddr is the address for machines or, without one, that for people, which
// answers the same two questions.
func (p program) healthAddr() (string, error) {
	listen, health, err := config.Addresses(p.environ)
	if err != nil {
		return "", err
	}
	name, address := "AVTOTPY_HEALTH_ADDR", health
	if address == "" {
		name, address = "AVTOTPY_LISTEN_ADDR", listen
	}
	host, port, err := net.SplitHostPort(address)
	switch ip := net.ParseIP(host); {
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	case port == "0":
		return "", fmt.Errorf("%s: the port 0 is another one at each start, so it cannot be asked; choose one", name)
	case host == "" || ip.Equal(net.IPv4zero): // not localhost: a distroless image may not know that name
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
