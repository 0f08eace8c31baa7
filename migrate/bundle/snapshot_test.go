package bundle

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestWithSnapshotsReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	b := Unchecked("SELECT 1", "SELECT 2", "SELECT 3")
	_, err := b.WithSnapshots(bundleFS(map[string]string{
		"0001.txt": "table a\n", "0004.txt": "", "0002.text": "",
		"README.md": "", ".hidden": "",
	}))
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	want := []string{
		"0002.txt: is missing: it is the snapshot of the schema after m.sql; generate the snapshots",
		"0003.txt: is missing: it is the snapshot of the schema after m.sql; generate the snapshots",
		"0002.text: is no snapshot of one of the 3 migrations; delete it",
		"0004.txt: is no snapshot of one of the 3 migrations; delete it",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestABundleKeepsItsSnapshots(t *testing.T) {
	t.Parallel()
	bare := Unchecked("SELECT 1", "SELECT 2")
	b, err := bare.WithSnapshots(fstest.MapFS{"0001.txt": {Data: []byte("table a\r\n  x\r\n")}, "0002.txt": {}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		bundle  Bundle
		version int
		text    string
		ok      bool
	}{
		{b, 1, "table a\n  x\n", true},
		{b, 2, "", true},
		{b, 0, "", false},
		{b, 3, "", false},
		{b, -1, "", false},
		{bare, 1, "", false},
	} {
		if text, ok := c.bundle.Snapshot(c.version); text != c.text || ok != c.ok {
			t.Errorf("version %d: got %q, %v, want %q, %v", c.version, text, ok, c.text, c.ok)
		}
	}
}
