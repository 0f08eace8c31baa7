package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/localpg"
	"github.com/avtotpy/avtotpy/internal/observe"
	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// giveUpRoot does what root alone can do, and then gives root up for good: before anything listens, connects or runs
// as a child. With the embedded PostgreSQL it becomes the user whose the data is, as PostgreSQL does; otherwise the one
// that AVTOTPY_USER names; without that setting, a program that serves warns. It returns the open data folder, nil
// without the embedded PostgreSQL.
func (p program) giveUpRoot(ctx context.Context, cfg config.Config, m opening,
	log *slog.Logger,
) (*localpg.Home, error) {
	asked, err := askedUser(cfg.User)
	if err != nil {
		return nil, err
	}
	if !cfg.Embedded() {
		_, handedOver := observe.HandedOver(p.environ) // then the first half has logged what there is to warn of
		return nil, becomeAsked(cfg, asked, m.serves(cfg.Mode) && !handedOver, log)
	}
	if os.Geteuid() == 0 {
		if err := becomeOwner(cfg, asked, log); err != nil {
			return nil, err
		}
	}
	home, err := openHome(ctx, cfg, asked, m.existing, log)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := become(home.User(), "PostgreSQL runs as that user", log); err != nil {
			return nil, errors.Join(err, home.Close())
		}
	}
	return home, nil
}

// becomeOwner gives root up for the user who owns the data folder, unless that is root or there is no folder. Nothing
// in a folder of another user is opened as root.
func becomeOwner(cfg config.Config, asked *osuser.User, log *slog.Logger) error {
	if err := osuser.MayChangeUser(); err != nil {
		return &settingsError{fmt.Errorf("started as root, the program has to become another user, because "+
			"PostgreSQL refuses root, and cannot: %w. Start it as a user: "+
			"USER or --user in a container, User= in a systemd unit", err)}
	}
	owner, err := localpg.OwnerOf(cfg.DataDir)
	if err != nil {
		return &localError{err}
	}
	if owner == nil || owner.UID == 0 {
		return nil
	}
	if asked != nil && asked.UID != owner.UID {
		return &settingsError{fmt.Errorf("AVTOTPY_USER is %s, and the data folder %s belongs to %s. "+
			"Leave AVTOTPY_USER out, or choose another AVTOTPY_DATA_DIR",
			asked, cfg.DataDir, owner)}
	}
	return become(*owner, "the data folder belongs to that user", log)
}

// openHome opens the data folder; existing refuses one in which there is no database cluster yet.
func openHome(ctx context.Context, cfg config.Config, asked *osuser.User, existing bool,
	log *slog.Logger,
) (*localpg.Home, error) {
	home, err := localpg.Open(ctx, localpg.Options{
		DataDir: cfg.DataDir, BinDir: cfg.PostgresBin, MasterKey: cfg.MasterKey.Reveal(), Log: log, User: asked,
		Folders:  backupsWithin(cfg),
		Existing: existing,
	})
	if is[*localpg.NoClusterError](err) {
		return nil, &settingsError{fmt.Errorf("%w, and this command makes none. If the database is elsewhere, set "+
			"what the server has set: "+
			"POSTGRES_CONNECTION_STR, or AVTOTPY_DATA_DIR. Otherwise start the program once, which makes it", err)}
	}
	if err != nil {
		return nil, &localError{err}
	}
	return home, nil
}

// backupsWithin are the folders of backups that lie in the data folder itself.
func backupsWithin(cfg config.Config) []string {
	if cfg.BackupDir == "" || filepath.Dir(cfg.BackupDir) != cfg.DataDir {
		return nil
	}
	return []string{filepath.Base(cfg.BackupDir)}
}

// askedUser is the user of AVTOTPY_USER, nil when it is not set.
func askedUser(name string) (*osuser.User, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // as the comment says
	}
	found, err := osuser.Lookup(name)
	if err != nil {
		return nil, &settingsError{fmt.Errorf("AVTOTPY_USER: %w", err)}
	}
	if me := osuser.Current(); me.UID != 0 && me.UID != found.UID {
		return nil, &settingsError{fmt.Errorf("AVTOTPY_USER: the program runs as %s, and only root can become %s. "+
			"Leave it out, or start as root", me, found)}
	}
	return &found, nil
}

// becomeAsked gives root up for AVTOTPY_USER; without that setting it stays root, and a program that serves warns.
func becomeAsked(cfg config.Config, asked *osuser.User, warns bool, log *slog.Logger) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if asked == nil {
		if warns {
			log.Warn("the web server runs as root, so that a hole in it opens this machine: set AVTOTPY_USER to a "+
				"user that it becomes before it listens "+
				"(useradd --system avtotpy), or start it as one (User= in a systemd unit, USER in a container)",
				"user", "root")
		}
		return nil
	}
	before := reliesOn(cfg)
	if err := become(*asked, "AVTOTPY_USER names it", log); err != nil {
		return err
	}
	if reliesOn(cfg) != before {
		return &settingsError{fmt.Errorf("a connection string relies on a file that the user %s cannot read: a "+
			"password file, a service file, or one of a certificate "+
			"(also those that are found in ~/.postgresql and ~/.pgpass). Give it to that user: chown %s FILE", asked,
			asked)}
	}
	return nil
}

// reliesOn lists what connections get out of files, so that a file that cannot be read any more does not weaken them
// unnoticed: root.crt in a home directory turns checking certificates on.
func reliesOn(cfg config.Config) string {
	var b strings.Builder
	for _, conn := range []config.Secret{cfg.MigratorConn, cfg.WebConn} {
		if conn == "" {
			continue
		}
		parsed, err := connstring.ParseConfig(conn.Reveal())
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		fmt.Fprintln(&b, parsed.Host, parsed.Port, parsed.User, parsed.Database, parsed.Password != "",
			len(parsed.Fallbacks))
		if t := parsed.TLSConfig; t != nil {
			fmt.Fprintln(&b, t.InsecureSkipVerify, t.VerifyPeerCertificate != nil, t.RootCAs != nil,
				len(t.Certificates))
		}
	}
	return b.String()
}

// become gives root up.
func become(user osuser.User, why string, log *slog.Logger) error {
	if err := user.Become(); err != nil {
		return &settingsError{fmt.Errorf("started as root, the program has to become the user %s (%s), and cannot: "+
			"%w. Start it as that user: "+
			"User= in a systemd unit, USER in a container, or setpriv --reuid=%d --regid=%d --clear-groups", user, why,
			err, user.UID, user.GID)}
	}
	log.Info("gave up root", "user", user.String(), "why", why)
	return nil
}
