// The page as a server renders it.
import { renderToString } from 'react-dom/server';
import { App } from './page.jsx';

export const render = (client) => renderToString(<App client={client} act={{}} />);
