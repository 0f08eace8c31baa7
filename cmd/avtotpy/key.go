package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/migrate"
)

func (p program) generateKey() error {
	_, err := fmt.Fprintln(p.stdout, keyring.Generate(keyID(time.Now())))
	return err
}

// keyID names a key after the day, with letters that make it differ from the other keys of
// that day: a database knows its keys by their ids.
func keyID(now time.Time) string {
	const letters = 6 // of 32 each
	return "k" + now.UTC().Format("20060102") + "-" + strings.ToLower(rand.Text()[:letters])
}

// checkKeys proves that the master keys are those of the database.
func (p program) checkKeys(ctx context.Context) error {
	return p.withStore(ctx, func(_ *store.Store, ring *keyring.Ring) error {
		_, err := fmt.Fprintf(p.stdout, "the master keys fit the database; %q seals new vaults\n", ring.Active())
		return err
	})
}

// A rotation is what key rotate prints for machines.
type rotation struct {
	MasterKey string                 `json:"master_key"` // that seals now
	Resealed  int                    `json:"resealed"`   // vault keys that another one had sealed
	DataKeys  *store.DataKeyRotation `json:"data_keys,omitempty"`
}

func (p program) bindRotate(flags *flag.FlagSet) action {
	dataKeys := flags.Bool("data-keys", false, "replace the data keys of all vaults, too")
	asJSON := jsonFlag(flags)
	return func(ctx context.Context, _ []string) error { return p.rotateKeys(ctx, *dataKeys, *asJSON) }
}

// rotateKeys seals the keys of all vaults with the first master key, and replaces them where that is wanted.
func (p program) rotateKeys(ctx context.Context, dataKeys, asJSON bool) error {
	return p.withStore(ctx, func(st *store.Store, ring *keyring.Ring) error {
		r := rotation{MasterKey: ring.Active()}
		var err error
		if r.Resealed, err = st.RotateKeys(ctx); err != nil {
			return err
		}
		if dataKeys {
			done, err := st.RotateDataKeys(ctx, p.rotating())
			if err != nil {
				return fmt.Errorf("%d accounts are sealed with new data keys; the same command goes on from there: %w",
					done.Sealed, err)
			}
			r.DataKeys = &done
		}
		if asJSON {
			return encode(p.stdout, r)
		}
		_, err = fmt.Fprintf(p.stdout, "%d vault keys sealed again with %q; the other master keys can be removed "+
			"once this is done for every replica\n", r.Resealed, r.MasterKey)
		if err != nil || r.DataKeys == nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, dataKeysInWords(*r.DataKeys))
		return err
	})
}

func dataKeysInWords(d store.DataKeyRotation) string {
	text := fmt.Sprintf("%d vaults have a new data key, and %d accounts are sealed with it", d.Done, d.Sealed)
	if d.Resumed {
		text += "; this ended a rotation that had been interrupted"
	}
	if d.Damaged > 0 {
		text += fmt.Sprintf("; %d accounts do not open and keep their key: the log of a server names them", d.Damaged)
	}
	return text
}

// rotating writes how far a rotation has come, once a second.
func (p program) rotating() func(store.DataKeyRotation) {
	const often = time.Second
	last := time.Now()
	return func(d store.DataKeyRotation) {
		if time.Since(last) < often {
			return
		}
		last = time.Now()
		// an error of the standard error stream cannot be reported
		_, _ = fmt.Fprintf(p.stderr, "data keys: %d of %d vaults, %d accounts\n", d.Done, d.Vaults, d.Sealed)
	}
}

// withStore opens what commands on the data need, as the unprivileged role, when the master keys fit.
func (p program) withStore(ctx context.Context, use func(*store.Store, *keyring.Ring) error) error {
	// mode SKIP needs the same: the web server's connection and the keys
	o, ctx, err := p.open(ctx, opening{settings: config.Skip, existing: true})
	if err != nil {
		return err
	}
	defer o.Close()
	status, err := asked(ctx, o.migrator, o.cfg.WebConn.Reveal(),
		func(ctx context.Context, conn *pgx.Conn) (migrate.Status, error) { return o.migrator.Status(ctx, conn) })
	if err != nil {
		return orNotMigratedYet(err)
	}
	if err := status.Err(); err != nil {
		return err
	}
	db, err := openDatabase(ctx, o.cfg, o.log)
	if err != nil {
		return err
	}
	defer db.Close()
	st := store.New(db.Pool(), o.ring)
	if err := checkKeys(ctx, st); err != nil {
		return err
	}
	if err := authenticate(ctx, st, o.log); err != nil {
		return err
	}
	return use(st, o.ring)
}
