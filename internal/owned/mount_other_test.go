//go:build unix && !linux

package owned

import "errors"

func bindReadOnly(string) error { return errors.ErrUnsupported }
