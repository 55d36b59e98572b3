// PURE

/** Names of the limits that a process can have (getrlimit(2)), without RLIMIT_ and in lower case. */
export const limitNames: readonly string[] =
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' ');

/** Whether it is the whole name of one, such as "RLIMIT_NOFILE". */
export const isLimitName = (name: string): boolean =>
  limitNames.some((limit) => name === `RLIMIT_${limit.toUpperCase()}`);
