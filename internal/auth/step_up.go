package auth

import (
	"context"
	"errors"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// StepUp asks a principal for their password again, before something that cannot be taken back. Its error is a problem
// of the field current when that is wrong.
func (g *Gate) StepUp(ctx context.Context, v Visit, p Principal, password string) error {
	err := g.withPassword(ctx, v, UseStepUp, p.User().Name, password, func(c checked) error {
		g.giveBack(ctx, UseStepUp, v, c) // it was no guess
		g.events.emit(ctx, Event{Kind: EventOK, Use: UseStepUp, User: c.user, From: v.From, Known: c.known()})
		return nil
	})
	if errors.Is(err, ErrWrongLogin) {
		return problem.Of("current", PasswordWrong)
	}
	return err
}
