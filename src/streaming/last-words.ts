// The last of a session's output, to a client that may have stopped reading.
// Must not know how it is framed.

/** A client that takes nothing of what waits for it, for so long, is gone; a slow one takes a piece in that time. Milliseconds. */
const stalledMs = 120_000;

/** Calls `end` once nothing was taken for two minutes of what is `left` (bytes); ends by itself when nothing is left. */
export function endStalled(left: () => number, end: () => void, afterMs = stalledMs): void {
  let before = left();
  const timer = setInterval(() => {
    const now = left();
    if (now > 0 && now < before) {
      before = now;
      return;
    }
    clearInterval(timer);
    if (now > 0) end();
  }, afterMs).unref();
}
