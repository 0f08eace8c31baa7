package auth

import (
	"context"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// NewPassword holds the name and the password that an operator sets for a user to the same policy as that of every
// user, and returns the hash of the password. What is wrong with them is a problem.List.
func NewPassword(ctx context.Context, name, password string) (hash string, err error) {
	var found problem.List
	checkName(&found, name)
	CheckPassword(&found, "password", name, password)
	if err := found.Err(); err != nil {
		return "", err
	}
	return newPasswords().hash(ctx, place{known: true}, password)
}
