package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// An UnrepairableError means that it cannot be told with certainty which version a
// schema is at. Nothing was changed.
type UnrepairableError struct {
	Why     string
	Version int                   // that Drift is about: the one that the stamp or the ledger names, or the nearest
	Drift   []snapshot.Difference // how the schema differs from it
	Next    string                // what to do, where that is neither to undo the drift nor to restore a backup
	Newer   bool                  // a newer program migrated, and only that one can tell

	// Candidates are the versions that it can be at. RepairOptions.Version decides between
	// them.
	Candidates []int
}

func (e *UnrepairableError) Error() string {
	var b strings.Builder
	b.WriteString("the ledger cannot be rebuilt: " + e.Why)
	b.WriteString(snapshot.Lines(e.Drift))
	b.WriteString("\nNothing was changed. ")
	if e.Next != "" {
		b.WriteString(e.Next)
	} else if len(e.Candidates) > 0 {
		b.WriteString("Restore the ledger from a backup, or say which version it is, if you know")
	} else if len(e.Drift) > 0 {
		b.WriteString("Undo these differences by hand and repair again, or restore a backup")
	} else {
		b.WriteString("Restore a backup, or the ledger from one")
	}
	return b.String()
}

// A versionProof finds out which version of a bundle a schema is at.
type versionProof struct{ bundle.Bundle }

// repair decides what is wrong with a ledger. It is a pure function.
func (b versionProof) repair(e evidence, stated int) (r Repair, err error) {
	if e.Renamed != nil {
		return r, e.Renamed
	}
	if blank(e.Schema) {
		return r, &UnmigratedError{Target: b.Version()}
	}
	if e.Ledger != nil && e.Ledger.Foreign && !e.Ledger.Damaged {
		return r, &UnrepairableError{
			Why:  "a table of another tool stands where it belongs, and is not touched",
			Next: "Rename it, or choose another schema",
		}
	}
	for _, d := range e.table.Fatal {
		if d.Change == snapshot.ObjectExtra {
			return r, &UnrepairableError{Why: "a " + strings.TrimSuffix(d.Object, " "+ledger.Name) +
				" stands where its table belongs, and is not touched", Next: "Rename it, and repair again"}
		}
	}
	r.Table = e.rows == nil || len(e.table.Fatal) > 0
	if e.Ledger != nil {
		r.Damage, r.Label = e.table.Fatal, len(e.table.Comment) > 0
	}
	if r.Table {
		r.Gone = e.table.Dropped()
	}
	if !b.HasSnapshots() {
		return r, errors.New("this program has no snapshots of its schema, without which a ledger cannot be rebuilt")
	}
	if r.Version, r.Proof, err = b.prove(e, stated); err != nil {
		return r, err
	}
	version := r.Version
	r.Rows = b.wrongRows(e.rows, version)
	if comment := (ledger.Stamp{Version: version, History: b.Fingerprint(version)}).String(); comment != e.comment() {
		r.Comment = comment
	}
	return r, nil
}

// prove tells which version the schema is at, and by what. The comment comes first: it
// is written with each migration and is lost by other accidents than the ledger is.
// Then what is left of the ledger; the schema itself has to agree in any case.
func (b versionProof) prove(e evidence, stated int) (version int, proof string, err error) {
	w, testified := ledger.ParseStamp(e.comment())
	if row := b.newest(e.rows); row.Version > 0 && w.Version <= b.Version() {
		return 0, "", &UnrepairableError{
			Why: fmt.Sprintf("it has the row %04d_%s of a newer program, and this one ends at %d", row.Version,
				row.Name, b.Version()), Newer: true,
			Next: "Repair it with that program. If none has ever applied that file, delete the row by hand and " +
				"repair again",
		}
	}
	highest, whole := b.vouchedFor(e.rows)
	newest := highest
	if testified { // a newer program would have written this, too
		newest = w.Version
	}
	if newest > b.Version() {
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("a newer program brought the schema to version %d, and "+
			"this one ends at %d", newest, b.Version()), Next: "Repair it with that program", Newer: true}
	}
	believed := testified && w.History == b.Fingerprint(w.Version)
	if testified && !believed && !whole {
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("the schema's comment tells of version %d of another "+
			"history, with files that differ from this program's; "+
			"repair it with the program that migrated it. If it is the comment that is wrong, take it away first: "+
			"COMMENT ON SCHEMA … IS NULL", w.Version)}
	}
	if stated > 0 && believed && stated != w.Version {
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("you say version %d, and the schema's comment says "+
			"version %d", stated, w.Version)}
	}
	if stated > 0 && whole && stated != highest {
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("you say version %d, and the ledger has the right rows up "+
			"to version %d", stated, highest)}
	}
	same, nearest, drift := versionsLike(b.Bundle, e.live)
	half := b.halfApplied(e)
	if half > 0 && len(same) == 0 {
		same = []int{half}
	}
	switch {
	case believed && b.lastRight(e.rows) > w.Version: // the row of a file that was applied is never taken for nothing
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("the schema's comment says version %d, and the ledger has "+
			"the right row of version %d. "+
			"If it is the comment that is wrong, take it away first: COMMENT ON SCHEMA … IS NULL", w.Version,
			b.lastRight(e.rows))}
	case believed && (slices.Contains(same, w.Version) || half == w.Version):
		return w.Version, "the schema's comment says so, and the schema is as the migrations up to there make it", nil
	case believed:
		return 0, "", b.unlike(e, w.Version,
			"the schema's comment says version %d, and the schema is not as the migrations up to there make it")
	// a higher one could have lost its last rows
	case whole && (half == highest || slices.Contains(same, highest) && same[len(same)-1] == highest):
		return highest, "the ledger says so, and the schema is as the migrations up to there make it", nil
	case len(same) == 0:
		return 0, "", b.afterClaim(e, &UnrepairableError{
			Why: fmt.Sprintf("the schema is not as any version of this "+
				"program makes it; the nearest is version %d, from which it differs", nearest), Version: nearest,
			Drift: drift,
		})
	}
	same = slices.DeleteFunc(same, func(v int) bool { return v < highest })
	last := len(same) > 0 && same[len(same)-1] == b.Version() && highest < b.Version()
	switch {
	case len(same) == 0:
		return 0, "", b.unlike(e, highest, "the ledger has a row of version %d, and the schema is not as the "+
			"migrations up to there make it")
	case slices.Contains(same, stated):
		return stated, "that is what you say, and the schema is as the migrations up to there make it", nil
	case stated > 0:
		return 0, "", &UnrepairableError{Why: fmt.Sprintf("you say version %d, and the schema is as the migrations "+
			"up to %s make it", stated, versions(same))}
	case last && len(same) == 1: // one above it would be told by nothing
		return 0, "", &UnrepairableError{
			Candidates: same,
			Why: fmt.Sprintf("the schema is as the migrations up to version %d make it, which is the last one of "+
				"this program, and neither the schema's comment nor the ledger "+
				"tells whether a newer program has applied files that change only rows", same[0]),
		}
	case len(same) == 1:
		return same[0], "of all versions only this one makes the schema what it is", nil
	}
	return 0, "", &UnrepairableError{
		Candidates: same,
		Why: fmt.Sprintf("versions %s make the same schema (files between them change only rows), and neither the "+
			"schema's comment nor the ledger tells which of them it is", versions(same)),
	}
}

// newest is the row of a newer program's file, if there is one: a finished one above the
// bundle that is not one of the bundle's own under another number.
func (b versionProof) newest(rows []storedRow) (newest storedRow) {
	for _, row := range rows {
		own := slices.ContainsFunc(b.Migrations(),
			func(m bundle.Migration) bool { return row.Checksum == fmt.Sprintf(`\x%x`, m.Checksum) })
		if row.Version > b.Version() && row.Duration != nil && !own {
			newest = row
		}
	}
	return newest
}

func (b versionProof) unlike(e evidence, version int, why string) error {
	wanted, _ := b.Snapshot(version) // there are snapshots, and it is within the bundle
	return b.afterClaim(e, &UnrepairableError{
		Why: fmt.Sprintf(why, version), Version: version,
		Drift: snapshot.Compare(wanted, e.live),
	})
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
// it only by what that file may have done already; 0 when it does not.
func (b versionProof) halfApplied(e evidence) int {
	row, ok := e.claimed()
	version := row.Version - 1
	wanted, known := b.Snapshot(version)
	if !ok || !known || len(b.beyondClaim(row.Version, wanted, e.live)) > 0 {
		return 0
	}
	return version
}

// beyondClaim lists how a schema differs from what it should be, but for what the file
// without a transaction that is claimed may have done already; claimed is 0 when none is.
func (b versionProof) beyondClaim(claimed int, want, live string) []snapshot.Difference {
	if claimed == 0 {
		return snapshot.Compare(want, live)
	}
	next, ok := b.Snapshot(claimed)
	if !ok {
		next = want
	}
	return snapshot.CompareDuring(want, live, next)
}

// afterClaim says of a schema with differences what of them may be the work of a file that
// is claimed.
func (b versionProof) afterClaim(e evidence, differs *UnrepairableError) error {
	row, ok := e.claimed()
	switch {
	case !ok:
	case row.Version > b.Version():
		differs.Newer = true
		differs.Next = fmt.Sprintf("Server process %d has claimed %04d_%s, a file of a newer program that runs "+
			"without a transaction: repair with that program", *row.ClaimedByPID, row.Version, row.Name)
	default:
		differs.Next = fmt.Sprintf("Undo these differences by hand and repair again, or restore a backup. What "+
			"%04d_%s does may stay: it runs without a transaction, and server process %d has claimed it", row.Version,
			row.Name, *row.ClaimedByPID)
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
func (b versionProof) vouchedFor(rows []storedRow) (highest int, whole bool) {
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
func (b versionProof) lastRight(rows []storedRow) int {
	last := 0
	for _, row := range rows {
		if b.wrong(row) == "" {
			last = max(last, row.Version)
		}
	}
	return last
}

// wrong says how a row contradicts the bundle; "" when it does not.
func (b versionProof) wrong(row storedRow) string {
	if row.Version < 1 || row.Version > b.Version() {
		return "is no version of this program"
	}
	m := b.Migration(row.Version)
	switch {
	case row.Name != m.Name:
		return fmt.Sprintf("the ledger calls it %q, the program %q", row.Name, m.Name)
	case row.Checksum != fmt.Sprintf(`\x%x`, m.Checksum):
		return "the ledger has another checksum of the file"
	case row.MinVersion != m.MinVersion:
		return fmt.Sprintf("the ledger says that programs from %04d on can work with it, the program says %04d",
			row.MinVersion, m.MinVersion)
	case row.Duration == nil:
		return "the ledger says that it was never finished"
	}
	return ""
}

// twice is what only a table without its primary key can hold. The row that lies there
// first stays.
const twice = "is in the ledger twice; the row that was written first stays"

// wrongRows lists what has to be done to make the ledger that of a version. The claim
// on the next file stays: it is being applied.
func (b versionProof) wrongRows(rows []storedRow, version int) []RowRepair {
	var repairs []RowRepair
	found := map[int]storedRow{}
	for _, row := range rows {
		there, again := found[row.Version]
		if !again || b.wrong(there) != "" { // of two, which only a damaged table can hold, the right one
			found[row.Version] = row
		} else if b.wrong(row) == "" && row.Version <= version {
			repairs = append(repairs, RowRepair{row.Version, row.Name, twice, true})
		}
		if row.Version < 1 || row.Version > version && (row.Version != version+1 || !row.claimed()) {
			repairs = append(repairs, RowRepair{row.Version, row.Name, "is in the ledger, and was never applied", true})
		}
	}
	for _, m := range b.Migrations()[:version] {
		row, ok := found[m.Version]
		what := "is missing from the ledger"
		if ok {
			what = b.wrong(row)
		}
		if what != "" {
			repairs = append(repairs, RowRepair{m.Version, m.Name, what, false})
		}
	}
	slices.SortStableFunc(repairs, func(x, y RowRepair) int { return x.Version - y.Version })
	return repairs
}

// versionsLike returns the versions whose snapshot a schema equals: several when
// files between them leave the schema as it is, such as those that only move rows. When
// there is none, it returns the nearest version, the later of two that are as near,
// and the differences from it; 0 when the bundle has no snapshots.
func versionsLike(b bundle.Bundle, text string) (same []int, nearest int, drift []snapshot.Difference) {
	for version := 1; ; version++ {
		wanted, ok := b.Snapshot(version)
		if !ok {
			break
		}
		d := snapshot.Compare(wanted, text)
		if len(d) == 0 {
			same = append(same, version)
		}
		if nearest == 0 || len(d) <= len(drift) {
			nearest, drift = version, d
		}
	}
	if len(same) > 0 {
		return same, same[len(same)-1], nil
	}
	return nil, nearest, drift
}
