package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/store"
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

// rotateKeys seals all vaults with the first master key.
func (p program) rotateKeys(ctx context.Context) error {
	return p.withStore(ctx, func(st *store.Store, ring *keyring.Ring) error {
		n, err := st.RotateKeys(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%d vault keys sealed anew with %q; the other master keys can be removed once this is done for every replica\n", n, ring.Active())
		return err
	})
}

// withStore opens what commands on the data need, as the unprivileged role, when the master keys fit.
func (p program) withStore(ctx context.Context, use func(*store.Store, *keyring.Ring) error) error {
	cfg, log, err := p.settings(config.Skip) // which needs the same: the web server's connection and the keys
	if err != nil {
		return err
	}
	ctx, stop, err := p.settled(ctx, &cfg, log)
	if err != nil {
		return err
	}
	defer stop()
	ring, err := masterKeys(cfg)
	if err != nil {
		return err
	}
	migrator, err := p.migrator(cfg, log)
	if err != nil {
		return err
	}
	status, err := migrator.Status(ctx, cfg.WebConn.Reveal())
	if err != nil {
		return perhapsUnmigrated(err)
	}
	if err := status.Err(); err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	st := store.New(db.Pool(), ring)
	if err := checkKeys(ctx, st); err != nil {
		return err
	}
	if err := authenticate(ctx, st, log); err != nil {
		return err
	}
	return use(st, ring)
}
