// Runs before the first paint: language, direction and theme, from the address and the browser alone. Nothing is stored.
(() => {
  const root = document.documentElement;
  const query = new URLSearchParams(location.search);
  const known = ['en', 'es', 'pt', 'de', 'fr', 'hi', 'ar'];
  const wanted = [query.get('lang'), ...(navigator.languages ?? [])].map((tag) => (tag ?? '').slice(0, 2).toLowerCase());
  root.lang = wanted.find((tag) => known.includes(tag)) ?? 'en';
  root.dir = root.lang === 'ar' ? 'rtl' : 'ltr';
  // The page is written in English; in another language its text waits for the catalogue, at most a moment.
  if (root.lang !== 'en') root.classList.add('untranslated');
  const theme = query.get('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
})();
