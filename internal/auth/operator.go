package auth

import (
	"context"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// NewUser holds the name and the password that an operator chooses for a new user to the same policy as that of every
// user, and returns the hash of the password. What is wrong with them is a problem.List.
func NewUser(ctx context.Context, name, password string) (hash string, err error) {
	var found problem.List
	checkName(&found, name)
	return hashOf(ctx, found, name, password)
}

// NewPassword is NewUser for another password of a user, whose name stays, also when it would be refused today.
func NewPassword(ctx context.Context, name, password string) (hash string, err error) {
	return hashOf(ctx, nil, name, password)
}

func hashOf(ctx context.Context, found problem.List, name, password string) (hash string, err error) {
	CheckPassword(&found, "password", name, password)
	if err := found.Err(); err != nil {
		return "", err
	}
	return newPasswords().hash(ctx, place{known: true}, password)
}
