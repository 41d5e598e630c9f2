// Waiting for what must happen. Nothing here passes because time has passed: a
// time-out only ends a test that would otherwise hang.

const PATIENCE = 30_000;

/** The promise's value, or an error that says what did not happen. */
export function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patience} ms for ${what}`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The first truthy value that the check answers, asking again and again. */
export async function until(check, what, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${patience} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
