package store

import (
	"context"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An event is one line of the audit log, without its time.
type event struct {
	actor   *User // nil for an operator
	action  string
	subject uuid.UUID
	vault   uuid.UUID // the zero UUID for what belongs to none
	from    Origin
}

// record appends to the audit log; it is part of the transaction that it records.
func record(ctx context.Context, tx pgx.Tx, e event) error {
	var actor *uuid.UUID
	name := ""
	if e.actor != nil {
		actor, name = &e.actor.ID, e.actor.Name
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO avtotpy.audit_log (actor_id, actor_name, action, subject_id, vault_id, address, agent)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		actor, name, e.action, orNull(e.subject), orNull(e.vault), e.from.address(), e.from.agent())
	return err
}

func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// printable shortens a text and leaves out what could forge a line of a log.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}
