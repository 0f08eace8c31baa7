package pgtest_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// TestAFreeAddressIsOneTestsOwn asks for many addresses that no process listens on, here and in
// another process: no address is given out twice.
func TestAFreeAddressIsOneTestsOwn(t *testing.T) {
	t.Parallel()
	const count = 200
	if os.Getenv("PGTEST_ADDRESSES") != "" {
		for range count {
			_, _ = os.Stdout.WriteString("address " + pgtest.FreeAddress(t) + "\n") // the parent misses what is lost
		}
		return
	}
	given := map[string]bool{}
	add := func(address string) {
		if given[address] {
			t.Errorf("%s was given out twice", address)
		}
		given[address] = true
	}
	for range count {
		add(pgtest.FreeAddress(t))
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), own, "-test.run=^TestAFreeAddressIsOneTestsOwn$")
	other.Env = append(os.Environ(), "PGTEST_ADDRESSES=1")
	output, err := other.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for line := range strings.Lines(string(output)) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "address "); ok {
			add(address)
		}
	}
	if len(given) != 2*count {
		t.Errorf("%d addresses, want %d", len(given), 2*count)
	}
}

func TestAnAddressIsFree(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", pgtest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
}

func TestPollGoesOnUntilTheConditionHolds(t *testing.T) {
	t.Parallel()
	tries := 0
	err := pgtest.Poll("the third try", func() error {
		tries++
		return pgtest.Unless(tries == 3, "this is try %d", tries)
	})
	if err != nil || tries != 3 {
		t.Errorf("got %v after %d tries", err, tries)
	}
	never := errors.New("never")
	if err := pgtest.PollFor(1, "what was waited for", func() error { return never }); !errors.Is(err, never) ||
		!strings.Contains(err.Error(), "what was waited for") {
		t.Errorf("got %v, want what was waited for and the last error", err)
	}
}
