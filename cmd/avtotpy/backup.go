package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/avtotpy/avtotpy/internal/backup"
	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
)

// backupBefore returns what makes the backup before a migration, nil when none is
// wanted.
func backupBefore(cfg config.Config, log *slog.Logger) func(context.Context, migrate.Status) error {
	if cfg.BackupDir == "" {
		return nil
	}
	return func(ctx context.Context, s migrate.Status) error {
		log.Info("making a backup before the migration", "version", s.Version, "folder", cfg.BackupDir)
		began := time.Now()
		made, err := backup.Make(ctx, backup.Options{
			Dir:         cfg.BackupDir,
			Conn:        cfg.MigratorConn.Reveal(),
			Schema:      schema.Name,
			Version:     s.Version,
			BinDir:      cfg.PostgresBin,
			LockWait:    cfg.Wait,
			Application: "avtotpy-backup/" + version(),
		})
		if err == nil {
			log.Info("made a backup", "file", made.File, "bytes", made.Size, "pg_dump", made.PgDump, "duration",
				time.Since(began).Round(time.Millisecond))
		}
		return err
	}
}
