/** The command token: from `#token=…` in the address (then taken out of it), else what this tab remembers. */
const KEY = 'coldplate.token';

function remembered(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden; the page works without a memory
  }
}

function remember(value: string): void {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // see above
  }
}

function firstToken(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    history.replaceState(null, '', location.pathname + location.search);
    remember(given);
  }
  return given ?? remembered() ?? '';
}

class Token {
  value: string = $state(firstToken());

  set(value: string): void {
    this.value = value.trim();
    remember(this.value);
  }
}

export const token = new Token();
