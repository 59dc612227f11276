// Controls, and the marks that change the direction of text, which can make a line read as another one.
const tricks = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Text from anywhere as one line that no terminal acts on: what one would act on is written as JavaScript writes it. */
export function printable(text: string): string {
  return text.replaceAll(tricks, (character) =>
    character === "\n" ? "\\n" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
