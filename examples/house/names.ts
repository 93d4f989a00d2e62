// Names of rooms, devices, music: an open set, so that a model has to copy a name out of the
// command and cannot learn a list. A name is one or two lower-case words. A third of the words say
// what the thing is, a third are words for something else ("the heron lamp"), and a third are built
// from syllables and mean nothing: (onset vowel coda){2,3}, millions of different ones.

import type { Random } from '../../src/core/rng.ts'

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

/** Rooms of one word that the base task draws from. */
export const ROOMS: readonly string[] = words(`
  hall kitchen bedroom bathroom attic cellar garage pantry study office library lounge nursery porch
  balcony terrace garden yard shed workshop laundry closet den parlor foyer lobby landing stairs
  basement loft studio gym playroom cabin greenhouse conservatory veranda patio deck stable barn
  cloakroom hallway corridor chapel gallery vault tower mudroom bar sauna cinema classroom annex
  courtyard alcove kennel wardrobe stairwell turret`)

/** First words of two-word rooms. */
export const ROOM_ADJECTIVES: readonly string[] = words(`
  back front upper lower east west north south guest main little big old new far inner outer blue
  red green white yellow grey summer winter spare twin middle second family`)

const ROOM_NOUNS: readonly string[] = [...ROOMS, 'room', 'room', 'room', 'wing', 'house', 'floor']

/** First words of two-word devices. */
export const DEVICE_ADJECTIVES: readonly string[] = words(`
  desk floor wall ceiling bedside corner reading window night table side ladder solar paper glass
  brass copper tin oak tall small left right rear round square long heavy silver wooden`)

/** What a device is for. */
export type DeviceKind = 'light' | 'blind' | 'lock' | 'fan' | 'player' | 'machine'

/** Last words of devices, by what they are for. */
export const DEVICES: Readonly<Record<DeviceKind, readonly string[]>> = {
  light: words(
    'lamp light chandelier spotlight bulb candle globe strip beacon torch neon uplight string star',
  ),
  blind: words('blind blinds curtain curtains shutter shade awning screen skylight canopy louver'),
  lock: words('door gate window hatch safe cabinet drawer chest cupboard box locker trapdoor'),
  fan: words('fan vent blower purifier hood cooler ventilator extractor turbine propeller'),
  player: words('speaker radio stereo tv player soundbar hifi phone tablet organ console'),
  machine: words(`
    heater oven washer dryer kettle pump printer projector robot dishwasher toaster boiler fountain
    sprinkler mixer freezer charger mower grill humidifier camera alarm clock aquarium treadmill`),
}

/** Kinds of music of one word. */
export const MUSIC: readonly string[] = words(`
  jazz blues opera rock folk soul techno disco reggae salsa swing gospel punk metal waltzes carols
  ballads marches news podcasts rain birdsong drums piano cello chants hymns lullabies`)

const MUSIC_ADJECTIVES: readonly string[] = words('soft loud slow quiet happy early live modern')

/** Words that are not names of rooms or devices, but serve as such. */
export const OTHER_WORDS: readonly string[] = words(`
  acorn amber anchor apple arbor arrow aspen atlas badger bamboo barley basil beaver beech birch
  bison bluebell bobbin bramble bridge bronze brook buckle butter button cactus camel canal canyon
  carbon carpet castle cedar chalk cherry chestnut cinder circle citrus clay cliff clover cobalt
  comet compass coral cricket crown crystal cypress daisy dolphin dove dragon drift dune eagle ebony
  echo elder elm ember emerald falcon feather fern fiddle field finch flint forest fossil fox garnet
  ginger glacier goose granite grape gravel grove gull hammer harbor hazel heather hedge heron
  hickory hill hollow horizon hornet indigo island ivy jade jasmine jasper juniper kestrel kite
  lagoon lake lark laurel lavender leaf lily linden lion lotus lynx magnet magnolia mango maple
  marble marsh meadow melon mercury mill mirror monkey moon moss mountain mulberry myrtle needle
  nickel nutmeg oasis ocean olive onyx opal orange orbit orchard orchid osprey otter owl oyster palm
  panther parsley peach pearl pebble penguin petal pigeon pilot planet plum pond poplar poppy
  prairie prism quail quarry quartz quill rabbit raven reed ridge river robin rocket ruby saddle
  saffron sage salmon sapphire satin scarlet seal shadow shell slate sparrow spruce squirrel stone
  stork storm summit swallow swan sycamore thistle thorn thunder tiger timber topaz torrent
  trail tulip tunnel turtle twig valley violet walnut wave wheat willow wolf wren zebra zenith zinc
  agatha albert alfred annie bertha bruno clara daphne edgar ella felix flora george greta harold
  hector hilda hugo ida jonas julia leo lotte louis mabel martha matilda nora oscar otto paula
  percy philip rosalie rufus selma simon stella theo ursula victor walter wilma yvonne`)

const ONSETS: readonly string[] = words(`
  b b c d d f g h j k k l l m m n n p p r r s s t t v v w z br dr gr pl st tr sh`)
const VOWELS: readonly string[] = words('a a a a e e e e i i i i o o o o u u ai ea ou')
const CODAS: readonly string[] = [...Array<string>(24).fill(''), ...words('n n n r r l l s t m k')]

/** A word of two or three syllables that means nothing, at most eight letters long. */
export function madeUpWord(random: Random): string {
  const syllables = random.uniform() < 0.8 ? 2 : 3
  let word = random.uniform() < 0.1 ? random.pick(['a', 'e', 'i', 'o', 'u']) : ''
  for (let i = 0; i < syllables; i++) {
    word += random.pick(ONSETS) + random.pick(VOWELS) + random.pick(CODAS)
  }
  return word.length <= 8 ? word : madeUpWord(random)
}

/** Every word of the lists that a name can hold. */
export const NAME_WORDS: ReadonlySet<string> = new Set([
  ...ROOMS,
  ...ROOM_ADJECTIVES,
  ...ROOM_NOUNS,
  ...DEVICE_ADJECTIVES,
  ...Object.values(DEVICES).flat(),
  ...MUSIC,
  ...MUSIC_ADJECTIVES,
  ...OTHER_WORDS,
])

/** One of `usual`, or a word for something else, or a word that means nothing. */
function nameWord(random: Random, usual: readonly string[]): string {
  const draw = random.uniform()
  if (draw < 0.4) {
    return madeUpWord(random)
  }
  return draw < 0.85 ? random.pick(usual) : random.pick(OTHER_WORDS)
}

/** Two different words. */
function twoWords(random: Random, first: readonly string[], second: readonly string[]): string {
  const pair = [nameWord(random, first), nameWord(random, second)]
  return pair[0] === pair[1] ? twoWords(random, first, second) : pair.join(' ')
}

/** A room of one word. */
export function plainRoom(random: Random): string {
  return nameWord(random, ROOMS)
}

/** A room of two words: "back porch", "east miro", "heron room". */
export function twoWordRoom(random: Random): string {
  return twoWords(random, ROOM_ADJECTIVES, ROOM_NOUNS)
}

/** A device of one word. */
export function plainDevice(random: Random, kind: DeviceKind): string {
  return nameWord(random, DEVICES[kind])
}

/** A device of two words: "desk lamp", "heron lamp". */
export function twoWordDevice(random: Random, kind: DeviceKind): string {
  return twoWords(random, DEVICE_ADJECTIVES, DEVICES[kind])
}

/** Something to listen to, of one or, one time in five, two words. */
export function musicName(random: Random): string {
  return random.uniform() < 0.8
    ? nameWord(random, MUSIC)
    : twoWords(random, MUSIC_ADJECTIVES, MUSIC)
}
