/** Bounds of what a NAR may hold. Reader and writer keep the same ones, so that what is written can be read. */

/** Longest entry name in bytes; longer ones fit no file system. */
export const maxNameLength = 255;

/** Longest symlink target in bytes: Linux's PATH_MAX without the closing NUL. */
export const maxTargetLength = 4095;

/**
 * Deepest nesting of directories. Paths end at PATH_MAX, long before this; the bound only keeps a hostile archive from growing
 * the reader's stack (a list, not recursion) without end.
 */
export const maxDepth = 4096;

/**
 * Largest file in bytes. The format allows anything below 2^63; beyond this JavaScript's numbers are no longer exact, and no
 * file system goes there.
 */
export const maxFileSize: number = Number.MAX_SAFE_INTEGER;
