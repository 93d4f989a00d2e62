export const MEMORY_BASE: Readonly<Record<string, number>>
export const HEAP_START: number
export function memoryBase(family: string): number
export function staticData(bytes: Uint8Array): { start: number; end: number }[]
export function checkStaticData(family: string, bytes: Uint8Array): void
