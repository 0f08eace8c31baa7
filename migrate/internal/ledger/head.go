package ledger

import (
	"cmp"
	_ "embed" // for the questions
	"slices"
	"strconv"
	"time"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Head is the ledger in short.
type Head struct {
	Version    int `json:"version"`
	MinVersion int `json:"min_version"`
	Rows       int `json:"rows"`
	Unfinished int `json:"unfinished"` // the first version that was begun and never finished, 0 when there is none
	// the version of a file without a transaction that is being applied, or was when its migrator died
	Claimed     int    `json:"claimed"`
	Fingerprint string `json:"fingerprint"` // of the rows up to the bundle's version
	Whole       string `json:"whole"`       // of all rows, the newer ones, too
	Comment     string `json:"comment"`     // the schema's, as it was when the ledger was read: see Stamp
	Foreign     bool   `json:"-"`           // a table of this name which cannot be read as a ledger
	Damaged     bool   `json:"-"`           // and yet is ours, or was
}

//go:embed head.sql
var headSQL string

// HeadQuery asks for the Head of a ledger, of which a program knows the rows up to the version of its bundle.
func HeadQuery(schema string, bundleVersion int) string {
	return sqltext.Bind(headSQL, map[string]string{"schema": schema, "bundle": strconv.Itoa(bundleVersion)})
}

// ReadHead reads the answer to HeadQuery; nil is a ledger that does not exist.
func ReadHead(answer pg.Result) (*Head, error) {
	var h Head
	err := answer.Decode(&h)
	switch code := pg.SQLState(err); {
	case code == "": // not an error of the server
		h.Whole = cmp.Or(h.Whole, h.Fingerprint)
		return &h, err
	case code == pg.UndefinedTable || code == pg.InvalidSchemaName:
		return nil, nil
	case IsForeign(code):
		return &Head{Foreign: true}, nil
	}
	return nil, err
}

// IsForeign reports whether the server's error to a question about the ledger means that
// another table or view has its name, or that its columns are not what they were: an
// undefined column or function, a type mismatch, a wrong kind of object.
func IsForeign(code string) bool {
	return slices.Contains([]string{pg.UndefinedColumn, pg.UndefinedFunction, pg.DatatypeMismatch, pg.WrongObjectType},
		code)
}

// HasHistory reports whether the ledger holds rows that can be read.
func (h *Head) HasHistory() bool { return h != nil && !h.Foreign && h.Rows > 0 }

// Same reports whether nothing was applied or begun between two questions.
func (h *Head) Same(later *Head) bool {
	return h.Foreign == later.Foreign && h.Version == later.Version && h.Rows == later.Rows &&
		h.Claimed == later.Claimed && h.Whole == later.Whole
}

// A Row is one applied migration as the database remembers it.
type Row struct {
	Version    int       `json:"version"`
	Name       string    `json:"name"`
	Checksum   string    `json:"checksum"` // SHA-256 of the file, in hexadecimal
	MinVersion int       `json:"min_version"`
	AppliedAt  time.Time `json:"applied_at"`
	Seconds    *float64  `json:"seconds"` // nil while unfinished
	AppliedBy  string    `json:"applied_by"`
	AppVersion string    `json:"app_version"`
	Claimed    bool      `json:"claimed"` // a file without a transaction, which a server process works on or worked on
	Rebuilt    bool      `json:"rebuilt"` // written by a repair
}

//go:embed rows.sql
var rowsSQL string

// RowsQuery asks for every Row of a ledger, as one JSON array.
func RowsQuery(schema string) string {
	return sqltext.Bind(rowsSQL, map[string]string{"schema": schema})
}
