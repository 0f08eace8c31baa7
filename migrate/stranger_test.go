package migrate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// TestAProgramOfSomebodyElsesUsesTheMigrator builds the module under examples, which sees what any other module sees,
// and runs it twice as its user would.
func TestAProgramOfSomebodyElsesUsesTheMigrator(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "notes")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "examples", "notes")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	db := pgtest.Blank(t)
	for _, c := range []struct{ note, want string }{
		{"buy milk", "version 2, applied now: 2\nbuy milk\n"},
		{"call Ada", "version 2, applied now: 0\nbuy milk\ncall Ada\n"},
	} {
		notes := exec.CommandContext(t.Context(), program, c.note)
		notes.Env = append(os.Environ(), "NOTES_MIGRATOR="+db.MigratorConn, "NOTES="+db.WebConn)
		out, err := notes.Output()
		if err != nil || string(out) != c.want {
			t.Fatalf("%v: got\n%s\nwant\n%s", err, out, c.want)
		}
	}
	role := db.Connect(t, db.WebConn)
	if _, err := role.Exec(t.Context(), "UPDATE notes.notes SET text = ''"); err == nil ||
		!strings.Contains(err.Error(), "permission denied") {
		t.Errorf("the role may do what is not declared: %v", err)
	}
}
