/** Language and theme: from the address (?lang=zh&theme=dark), else what this browser remembers, else the browser's own. */

export type Language = 'en' | 'zh';
export type Theme = 'system' | 'light' | 'dark';

function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage may be forbidden; the page works without a memory
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // see above
  }
}

function firstLanguage(): Language {
  const asked = new URLSearchParams(location.search).get('lang') ?? remembered('coldplate.lang') ?? navigator.language;
  return asked.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

function firstTheme(): Theme {
  const asked = new URLSearchParams(location.search).get('theme') ?? remembered('coldplate.theme');
  return asked === 'light' || asked === 'dark' ? asked : 'system';
}

class Preferences {
  language: Language = $state(firstLanguage());
  theme: Theme = $state(firstTheme());
  systemDark: boolean = $state(matchMedia('(prefers-color-scheme: dark)').matches);

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => (this.systemDark = event.matches));
    this.apply();
  }

  get dark(): boolean {
    return this.theme === 'system' ? this.systemDark : this.theme === 'dark';
  }

  setLanguage(language: Language): void {
    this.language = language;
    remember('coldplate.lang', language);
    this.apply();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    remember('coldplate.theme', theme);
    this.apply();
  }

  private apply(): void {
    document.documentElement.lang = this.language === 'zh' ? 'zh-CN' : 'en';
    if (this.theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = this.theme;
  }
}

export const preferences = new Preferences();
