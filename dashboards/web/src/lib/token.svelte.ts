/** The command token: from `#token=…` in the address (then taken out of it), else what this tab remembers. */
const KEY = 'coldplate.token';

function firstToken(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    history.replaceState(null, '', location.pathname + location.search);
    sessionStorage.setItem(KEY, given);
  }
  return given ?? sessionStorage.getItem(KEY) ?? '';
}

class Token {
  value: string = $state(firstToken());

  set(value: string): void {
    this.value = value.trim();
    sessionStorage.setItem(KEY, this.value);
  }
}

export const token = new Token();
