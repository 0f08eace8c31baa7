package localpg

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/owned"
)

func TestTheLogIsBoundedAndItsEndIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/postgres.log", "an earlier start\n")
	folder, err := owned.Ours().Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLog(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir+"/postgres.log.1"); got != "an earlier start\n" {
		t.Errorf("log of the earlier start: got %q", got)
	}
	l.max = 1 << 10
	for n := range 2000 {
		fmt.Fprintf(l, "line %d\n", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + oldLogs; len(files) != want {
		t.Errorf("got %d files, want %d", len(files), want)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Size() > 2<<10 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info, err)
		}
	}
	if tail := l.tail(); !strings.HasSuffix(tail, "line 1998\nline 1999") || strings.Count(tail, "\n") != 14 {
		t.Errorf("tail: got %q, want the last 15 lines", tail)
	}
}

func TestAFullDiskDoesNotEndTheServersLog(t *testing.T) {
	t.Parallel()
	l := &serverLog{path: "/dev/full/postgres.log", max: 1}
	for range 3 {
		if n, err := l.Write([]byte("PANIC: no space left\n")); n != 21 || err != nil {
			t.Errorf("Write: got %d, %v; want all of it", n, err)
		}
	}
	if !strings.Contains(l.tail(), "PANIC") {
		t.Errorf("tail: got %q, want what was written", l.tail())
	}
}
