package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An UnrepairableError means that it cannot be told with certainty which version a
// schema is at. Nothing was changed.
type UnrepairableError struct {
	Why     string
	Version int     // that Drift is about: the one that the witnesses name, or the nearest
	Drift   []Drift // how the schema differs from it
	Next    string  // what to do, where that is neither to undo the drift nor to restore a backup
	Newer   bool    // a newer program migrated, and only that one can tell
}

func (e *UnrepairableError) Error() string {
	var b strings.Builder
	b.WriteString("the ledger cannot be rebuilt: " + e.Why)
	b.WriteString(driftLines(e.Drift))
	b.WriteString("\nNothing was changed. ")
	if e.Next != "" {
		b.WriteString(e.Next)
	} else if len(e.Drift) > 0 {
		b.WriteString("Undo these differences by hand and repair again, or restore a backup")
	} else {
		b.WriteString("Restore a backup, or the ledger from one")
	}
	return b.String()
}

// repair decides what is wrong with a ledger. It is a pure function.
func (b Bundle) repair(e evidence) (Repair, error) {
	if blank(e.Schema) {
		return Repair{}, &UnrepairableError{Why: "there is no schema yet, so that there is nothing to repair", Next: "A start creates it"}
	}
	if e.Ledger != nil && e.Ledger.Foreign && !e.Ledger.Damaged {
		return Repair{}, &UnrepairableError{Why: "a table of another tool stands where it belongs, and is not touched", Next: "Rename it, or choose another schema"}
	}
	if !b.hasSnapshots() {
		return Repair{}, errors.New("this program has no snapshots of its schema, without which a ledger cannot be rebuilt")
	}
	version, proof, err := b.prove(e)
	if err != nil {
		return Repair{}, err
	}
	r := Repair{Version: version, Proof: proof, Table: e.rows == nil || len(e.damage) > 0, Rows: b.wrongRows(e.rows, version)}
	if e.Ledger != nil {
		r.Damage = e.damage
	}
	if comment := (witness{version, b.fingerprint(version)}).String(); comment != e.comment() {
		r.Comment = comment
	}
	return r, nil
}

// prove tells which version the schema is at, and by what. The comment comes first: it
// is written with each migration and is lost by other accidents than the ledger is.
// Then what is left of the ledger; the schema itself has to agree in any case.
func (b Bundle) prove(e evidence) (version int, proof string, err error) {
	w, testified := parseWitness(e.comment())
	highest, whole := b.vouchedFor(e.rows)
	newest := highest
	if testified { // a newer program would have written this, too
		newest = w.version
	}
	if newest > b.Version() {
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("a newer program brought the schema to version %d, and this one ends at %d", newest, b.Version()), Next: "Repair it with that program", Newer: true}
	}
	believed := testified && w.history == b.fingerprint(w.version)
	if testified && !believed && !whole {
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("the schema's comment tells of version %d of another history, with files that differ from this program's; "+
			"repair it with the program that migrated it. If it is the comment that is wrong, take it away first: COMMENT ON SCHEMA … IS NULL", w.version)}
	}
	same, nearest, drift := b.versionsLike(e.live)
	half := b.halfApplied(e)
	if half > 0 && len(same) == 0 {
		same = []int{half}
	}
	switch {
	case believed && b.lastRight(e.rows) > w.version: // the row of a file that was applied is never taken for nothing
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("the schema's comment says version %d, and the ledger has the right row of version %d. "+
			"If it is the comment that is wrong, take it away first: COMMENT ON SCHEMA … IS NULL", w.version, b.lastRight(e.rows))}
	case believed && (slices.Contains(same, w.version) || half == w.version):
		return w.version, "the schema's comment says so, and the schema is as the migrations up to there make it", nil
	case believed:
		return 0, "", b.unlike(e, w.version, "the schema's comment says version %d, and the schema is not as the migrations up to there make it")
	case whole && (half == highest || slices.Contains(same, highest) && same[len(same)-1] == highest): // a higher one could have lost its last rows
		return highest, "the ledger says so, and the schema is as the migrations up to there make it", nil
	case len(same) == 0:
		return 0, "", b.afterClaim(e, &UnrepairableError{Why: fmt.Sprintf("the schema is not as any version of this program makes it; the nearest is version %d, from which it differs", nearest), Version: nearest, Drift: drift})
	}
	same = slices.DeleteFunc(same, func(v int) bool { return v < highest })
	switch len(same) {
	case 0:
		return 0, "", b.unlike(e, highest, "the ledger has a row of version %d, and the schema is not as the migrations up to there make it")
	case 1:
		return same[0], "of all versions only this one makes the schema what it is", nil
	}
	return 0, "", &UnrepairableError{Why: fmt.Sprintf("versions %s make the same schema (files between them change only rows), and neither the schema's comment nor the ledger tells which of them it is", versions(same))}
}

func (b Bundle) unlike(e evidence, version int, why string) error {
	snapshot, _ := b.Snapshot(version) // there are snapshots, and it is within the bundle
	return b.afterClaim(e, &UnrepairableError{Why: fmt.Sprintf(why, version), Version: version, Drift: CompareSnapshots(snapshot, e.live)})
}

// claimed is the row of a file without a transaction that is under way, or whose
// migrator died.
func (e evidence) claimed() (row storedRow, ok bool) {
	if len(e.rows) == 0 {
		return row, false
	}
	row = e.rows[len(e.rows)-1]
	return row, row.claimed()
}

// halfApplied is the version below a file that is claimed, when the schema differs from
// it only by what that file may have done already; 0 when it does not. An invalid index
// is what a statement leaves that was interrupted, or has not finished.
func (b Bundle) halfApplied(e evidence) int {
	row, ok := e.claimed()
	version := row.Version - 1
	snapshot, known := b.Snapshot(version)
	if !ok || !known {
		return 0
	}
	var done []Drift
	if next, ok := b.Snapshot(row.Version); ok {
		done = CompareSnapshots(snapshot, next)
	}
	for _, d := range CompareSnapshots(snapshot, e.live) {
		invalid := d.Change == Has && strings.Contains(d.Line, "index ") && strings.HasSuffix(d.Line, " invalid")
		if !invalid && !slices.Contains(done, d) {
			return 0
		}
	}
	return version
}

// afterClaim says of a schema with differences what of them may be the work of a file that
// is claimed.
func (b Bundle) afterClaim(e evidence, differs *UnrepairableError) error {
	row, ok := e.claimed()
	switch {
	case !ok:
	case row.Version > b.Version():
		differs.Newer = true
		differs.Next = fmt.Sprintf("Server process %d has claimed %04d_%s, a file of a newer program that runs without a transaction: repair with that program", *row.ClaimedByPID, row.Version, row.Name)
	default:
		differs.Next = fmt.Sprintf("Undo these differences by hand and repair again, or restore a backup. What %04d_%s does may stay: it runs without a transaction, and server process %d has claimed it", row.Version, row.Name, *row.ClaimedByPID)
	}
	return differs
}

func versions(list []int) string {
	text := make([]string, len(list))
	for i, v := range list {
		text[i] = strconv.Itoa(v)
	}
	return strings.Join(text, ", ")
}

// vouchedFor returns the highest version whose row is right, and whether the ledger is
// whole up to there and holds nothing else.
func (b Bundle) vouchedFor(rows []storedRow) (highest int, whole bool) {
	whole = true
	for i, row := range rows {
		switch {
		case row.claimed() && i == len(rows)-1: // not applied yet
		case row.Version > b.Version(): // a newer program's; only it can tell whether the row is right
			highest = row.Version
		case b.wrong(row) != "":
			whole = false
		default:
			whole = whole && row.Version == highest+1
			highest = row.Version
		}
	}
	return highest, whole && highest > 0
}

// lastRight is the highest version of this program's own whose row is right.
func (b Bundle) lastRight(rows []storedRow) int {
	last := 0
	for _, row := range rows {
		if b.wrong(row) == "" {
			last = max(last, row.Version)
		}
	}
	return last
}

// wrong says how a row contradicts the bundle; "" when it does not.
func (b Bundle) wrong(row storedRow) string {
	if row.Version < 1 || row.Version > b.Version() {
		return "is no version of this program"
	}
	m := b.migrations[row.Version-1]
	switch {
	case row.Name != m.Name:
		return fmt.Sprintf("the ledger calls it %q, the program %q", row.Name, m.Name)
	case row.Checksum != fmt.Sprintf(`\x%x`, m.Checksum):
		return "the ledger has another checksum of the file"
	case row.MinVersion != m.MinVersion:
		return fmt.Sprintf("the ledger says that programs from %04d on can work with it, the program says %04d", row.MinVersion, m.MinVersion)
	case row.Duration == nil:
		return "the ledger says that it was never finished"
	}
	return ""
}

// wrongRows lists what has to be done to make the ledger that of a version. The claim
// on the next file stays: it is being applied.
func (b Bundle) wrongRows(rows []storedRow, version int) []RowRepair {
	var repairs []RowRepair
	found := map[int]storedRow{}
	for _, row := range rows {
		if there, twice := found[row.Version]; !twice || b.wrong(there) != "" { // of two, which only a damaged table can hold, the right one
			found[row.Version] = row
		}
		if row.Version < 1 || row.Version > version && (row.Version != version+1 || !row.claimed()) {
			repairs = append(repairs, RowRepair{row.Version, row.Name, "is in the ledger, and was never applied", true})
		}
	}
	for _, m := range b.migrations[:version] {
		row, ok := found[m.Version]
		what := "is missing from the ledger"
		if ok {
			what = b.wrong(row)
		}
		if what != "" {
			repairs = append(repairs, RowRepair{m.Version, m.Name, what, false})
		}
	}
	slices.SortFunc(repairs, func(x, y RowRepair) int { return x.Version - y.Version })
	return repairs
}
