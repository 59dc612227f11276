/** A time of day, in hours from 0 to 24. */
export type Hour = number;

export const languages = ["de", "en", "fr"] as const;
export type Language = (typeof languages)[number];

type Greetings = Readonly<Record<"morning" | "day" | "evening", string>>;

const greetings: Readonly<Record<Language, Greetings>> = {
  de: { morning: "Guten Morgen", day: "Guten Tag", evening: "Guten Abend" },
  en: { morning: "Good morning", day: "Good day", evening: "Good evening" },
  fr: { morning: "Bonjour", day: "Bonjour", evening: "Bonsoir" },
};

/** Whether Kiln's greeter speaks this language. */
export function isLanguage(text: string): text is Language {
  return languages.some((language) => language === text);
}

/** What one says to `names` at `hour`. Nobody named is everybody. */
export function greet(names: readonly string[], hour: Hour, language: Language = "en"): string {
  const { morning, day, evening } = greetings[language];
  const greeting = hour < 11 ? morning : hour < 18 ? day : evening;
  const list = new Intl.ListFormat(language).format(
    names.map((name) => name.trim()).filter(Boolean),
  );
  return list === "" ? `${greeting}!` : `${greeting}, ${list}!`;
}
