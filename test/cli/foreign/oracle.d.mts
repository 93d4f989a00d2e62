/** Answers the question in the directory `at` with what is stored below `root`. */
export declare function oracle(root: string, at: string): void

/** Answers the question in the directory `at` with the question. */
export declare function echo(at: string): void
