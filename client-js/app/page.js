// The pages of text: language and theme, as on the first page.

import { setUpSettings } from './ui/settings.js';

await setUpSettings(['/i18n/pages/']);
