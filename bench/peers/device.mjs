// The GPU of a worker: `navigator.gpu`, which Deno has and which Dawn gives to Node. What peers look for
// in a page besides, a window, is there too.

const DAWN = new URL('../../test/webgpu/node_modules/webgpu/index.js', import.meta.url)

/** With it its devices would go. */
let dawn

async function offerDawn() {
  const { create, globals } = await import(DAWN)
  Object.assign(globalThis, globals)
  dawn = create([])
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu: dawn, userAgent: 'Node' },
    configurable: true,
  })
}

/** The name of the device of a place, its driver included. Throws where there is none. */
export async function openDevice(place) {
  if (place === 'dawn') {
    await offerDawn()
  }
  globalThis.window ??= globalThis
  const hardware = await navigator.gpu?.requestAdapter()
  if (!hardware) {
    throw new Error(`${place} has no WebGPU device here`)
  }
  const { vendor, architecture, description } = hardware.info
  return [vendor, architecture, description].filter(Boolean).join(' ')
}
