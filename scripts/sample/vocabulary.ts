import { phrases, words } from './lists.ts'
/** Words that several families draw from. */
export const FIRST_NAMES = words(`
  Amara Bogdan Chidi Dana Elif Farid Greta Hiro Ines Jonas Kavya Liam Maren Noor Oskar Priya Quentin
  Rosa Samir Tove Uma Viktor Wanda Ximena Yusuf Zofia Anton Beatriz Cem Delphine Emeka Freya Gustavo
  Hanna Ivo Jamila
`)
export const LAST_NAMES = words(`
  Okafor Lindqvist Moreau Tanaka Petrov Haddad Silva Novak Brennan Castellano Dubois Eriksen Fischer
  Gupta Horvat Ivanova Jansen Kowalski Larsen Mbeki Nakamura Ortega Popescu Quinn Rahman Sorensen
  Tremblay Varga Whitfield Yilmaz
`)
export const CITIES = words(`
  Lisbon Nairobi Osaka Tallinn Medellin Leeds Gdansk Perth Quito Bergen Izmir Lyon Accra Porto
  Halifax Cork Turin Bruges Salta Riga Dakar Graz Oulu Split
`)
export const COMPANIES = phrases(`
  Northwind Freight | Bluebird Dental | Oakline Furniture | Kestrel Insurance | Harbour Bakery |
  Lumen Optics | Silverfern Travel | Tidal Energy Co-op | Redbrick Lettings | Fern & Fold Paper |
  Quarry Street Gym | Meadow Veterinary | Ironleaf Tools | Papaya Telecom | Stonebridge Library |
  Cloudberry Hosting | Anchor Payroll | Juniper Pharmacy | Copperfield Cycles | Marlin Couriers
`)
export const GOODS = phrases(`
  kettle | office chair | bicycle helmet | rain jacket | phone charger | desk lamp |
  coffee grinder | backpack | garden hose | electric shaver | yoga mat | bookcase | tent |
  frying pan | headset | water filter | keyboard | suitcase | space heater | record player |
  sleeping bag | blender | printer
`)
export const MONTHS = words(`
  January February March April May June July August September October November December
`)
export const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
