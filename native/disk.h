/* Locks and identities of files, as Linux has them; other systems get -ENOSYS. Each call returns a
 * negative error number when it fails. Nothing is kept between calls; any thread may make them. */
#ifndef VANITY_DISK_H
#define VANITY_DISK_H

/* Room for the longest generation, its end included. */
enum { DISK_GENERATION_MAX = 264 };

/* Takes the lock of the server of the file, for the open file that the descriptor stands for (to
 * read and write): an open file description lock (F_OFD_SETLK), exclusive, on one byte at 2^62, where
 * no database has a page and SQLite no lock. It lasts until all descriptors of that open file
 * are closed, by whatever means: exec, if they say so, and the end of the process included. 0;
 * -EAGAIN if it is taken, perhaps by another open file of this process. */
int disk_lock(int file);

/* Whether there is any lock on the file, that one or those of SQLite, but for locks of this open file: 1
 * or 0. Takes none, so that nobody who takes one meanwhile is turned away; to read alone is enough. */
int disk_is_locked(int file);

/* What distinguishes the file at `path` from another that has its inode number after it was deleted: the
 * generation, which the file system gives each of its files, as text of at most DISK_GENERATION_MAX
 * bytes. "v" and the number in decimal digits where it is known by itself, else "h" and in
 * hexadecimal the handle of the file, of which it is a part. One cannot be compared with the other.
 *
 * Opens nothing: to close a file drops every POSIX lock that this process has on it, SQLite's too.
 * `file` is for containers, where name_to_handle_at may be refused: a descriptor of the same file,
 * or -1. */
int disk_generation(const char *path, int file, char text[DISK_GENERATION_MAX]);

#endif
