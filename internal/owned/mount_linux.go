package owned

import "golang.org/x/sys/unix"

func mountOf(fd int) mount {
	var s unix.Statfs_t
	if unix.Fstatfs(fd, &s) != nil {
		return mount{}
	}
	m := mount{readOnly: s.Flags&unix.ST_RDONLY != 0}
	switch int64(s.Type) { //nolint:unconvert // its width depends on the machine
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		m.memory = true
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.CGROUP_SUPER_MAGIC,
		unix.CGROUP2_SUPER_MAGIC:
		m.kernels = true
	}
	return m
}
