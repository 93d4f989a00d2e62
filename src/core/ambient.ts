// What calls find around them without being given it: which adapters a forward pass uses, say. A value is
// there while a function runs, and is there again where a checkpoint runs that function a second time.

/** One thing that can be around calls. */
export interface Ambient<T> {
  /** Runs `fn` once more in what `value` stands for, where that is more than the value. */
  again?<R>(value: T, fn: () => R): R
}

let current: ReadonlyMap<Ambient<never>, unknown> = new Map()

/** What is around the running call; undefined outside. */
export function around<T>(ambient: Ambient<T>): T | undefined {
  return current.get(ambient) as T | undefined
}

function during<R>(next: typeof current, fn: () => R): R {
  const before = current
  current = next
  try {
    return fn()
  } finally {
    current = before
  }
}

/** Runs `fn` with another value around it. */
export function runWithin<T, R>(ambient: Ambient<T>, value: T | undefined, fn: () => R): R {
  return during(new Map(current).set(ambient, value), fn)
}

/** A bookmark: gives back a function that runs another in what is around now, and in nothing else. */
export function replaySurroundings(): <R>(fn: () => R) => R {
  const then = current as ReadonlyMap<Ambient<unknown>, unknown>
  return <R>(fn: () => R): R => {
    let run = fn
    for (const [ambient, value] of then) {
      const inner = run
      run = () => (value !== undefined && ambient.again ? ambient.again(value, inner) : inner())
    }
    return during(then, run)
  }
}
