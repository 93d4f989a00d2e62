export function probe(a: f32): f32 {
  return a * 2
}
