package config

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheSystemdUnitOpensTheFoldersOfTheExamples: with ProtectSystem=strict the program can
// write to the unit's StateDirectory alone, so the folders that the documentation shows for
// it have to lie there.
func TestTheSystemdUnitOpensTheFoldersOfTheExamples(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../deploy/systemd/avtotpy.service")
	if err != nil {
		t.Fatal(err)
	}
	state := regexp.MustCompile(`(?m)^StateDirectory=(\S+)$`).FindSubmatch(unit)
	if state == nil || !bytes.Contains(unit, []byte("\nProtectSystem=strict\n")) {
		t.Fatal("the unit has no StateDirectory, or no ProtectSystem=strict")
	}
	open := "/var/lib/" + string(state[1])
	if !bytes.Contains(unit, []byte("\nEnvironment=AVTOTPY_DATA_DIR="+open+"\n")) {
		t.Errorf("the unit's AVTOTPY_DATA_DIR is not %s", open)
	}
	for _, v := range variables() {
		if v.name != backupDir && v.name != "AVTOTPY_DATA_DIR" {
			continue
		}
		if v.example != open && !strings.HasPrefix(v.example, open+"/") {
			t.Errorf("%s=%s is the example of the documentation, and the unit lets the program write to %s alone",
				v.name, v.example, open)
		}
	}
}
