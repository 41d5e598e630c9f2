// Waits for conditions. No test passes merely because time has passed: a time-out only ends a test
// that would otherwise hang.

const PATIENCE = 30_000;

/** Returns the promise's value, or fails with an error that names what did not happen. */
export function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patience} ms for ${what}`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Calls the check repeatedly and returns its first truthy value. */
export async function until(check, what, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${patience} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
