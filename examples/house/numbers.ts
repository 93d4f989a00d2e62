// How numbers and times of day are said: 35 is "thirty five" or "35", 09:30 is "at half past nine",
// "at nine thirty", "at 09:30". An hour without a half of the day is taken as it stands: "at nine"
// is 09:00, "at nine pm" is 21:00.

import type { Random } from '../../src/core/rng.ts'

const SMALL: readonly string[] = [
  ...['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'],
  ...['eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen'],
  'nineteen',
]
const TENS: readonly string[] = [
  ...['', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'],
]

/** Words and what they stand for. */
export interface Said<T extends string | number> {
  readonly words: string
  readonly value: T
}

/** A number from 0 to 100 in words: 35 is "thirty five". */
export function numberWords(n: number): string {
  if (n === 100) {
    return 'one hundred'
  }
  if (n < 20) {
    return SMALL[n]
  }
  const tens = TENS[Math.floor(n / 10)]
  return n % 10 === 0 ? tens : `${tens} ${SMALL[n % 10]}`
}

/** A number in words or, two times in five, in digits. */
export function sayNumber(random: Random, n: number): string {
  return random.uniform() < 0.6 ? numberWords(n) : String(n)
}

const SHARES: readonly Said<number>[] = [
  { words: 'half', value: 50 },
  { words: 'full', value: 100 },
  { words: 'a tenth', value: 10 },
]

/** A share in steps of 5 percent: "thirty percent", "30%", now and then "half". */
export function sayPercent(random: Random): Said<number> {
  const value = 5 * (1 + random.integer(20))
  const draw = random.uniform()
  if (draw < 0.1) {
    return random.pick(SHARES)
  }
  const words = draw < 0.25 ? `${value}%` : `${sayNumber(random, value)} percent`
  return { words, value }
}

/** A temperature from 10 to 30: "twenty one degrees". */
export function sayDegrees(random: Random): Said<number> {
  const value = 10 + random.integer(21)
  return { words: `${sayNumber(random, value)} degrees`, value }
}

const SPANS: readonly Said<number>[] = [
  { words: 'an hour', value: 60 },
  { words: 'half an hour', value: 30 },
  { words: 'two hours', value: 120 },
]

/** A span in minutes, in steps of 5: "ten minutes", "half an hour". */
export function sayMinutes(random: Random): Said<number> {
  if (random.uniform() < 0.2) {
    return random.pick(SPANS)
  }
  const value = 5 * (1 + random.integer(12))
  return { words: `${sayNumber(random, value)} minutes`, value }
}

const clock = (hour: number, minute: number): string =>
  `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`

const SPOKEN_MINUTES: readonly number[] = [15, 30, 45]

/** One way of saying a time of day, always after "at". */
type TimePhrase = (random: Random, hour: number) => Said<string>

const onTheHour: TimePhrase = (random, hour) => ({
  words: sayNumber(random, hour),
  value: clock(hour, 0),
})

const TIME_PHRASES: readonly TimePhrase[] = [
  onTheHour,
  onTheHour,
  (random, hour) => {
    const minute = random.pick(SPOKEN_MINUTES)
    return { words: `${numberWords(hour)} ${numberWords(minute)}`, value: clock(hour, minute) }
  },
  (_, hour) => ({ words: `half past ${numberWords(hour)}`, value: clock(hour, 30) }),
  (_, hour) => ({ words: `${numberWords(hour)} pm`, value: clock((hour % 12) + 12, 0) }),
  random => {
    const time = clock(random.integer(24), 15 * random.integer(4))
    return { words: time, value: time }
  },
]

const NAMED_TIMES: readonly Said<string>[] = [
  { words: 'at noon', value: '12:00' },
  { words: 'at midnight', value: '00:00' },
  { words: 'at breakfast', value: '08:00' },
  { words: 'at lunch', value: '13:00' },
  { words: 'at sunrise', value: '06:00' },
  { words: 'at sunset', value: '18:00' },
]

/** A time of day: "at nine", "at half past seven", "at 21:45", "at noon". */
export function sayTime(random: Random): Said<string> {
  if (random.uniform() < 0.2) {
    return random.pick(NAMED_TIMES)
  }
  const { words, value } = random.pick(TIME_PHRASES)(random, 1 + random.integer(12))
  return { words: `at ${words}`, value }
}
